"""Writes `probe.json` into a checkpoint folder: `python -m sparring_trainer.learning.probe FOLDER`.

A generator that loads the checkpoint scores the same short text and compares.
"""

import argparse
import sys
from pathlib import Path

from transformers import PreTrainedModel

from sparring_shared.errors import SparringError, fail
from sparring_shared.probe import Probe, write_probe
from sparring_trainer.learning.logprobs import full_logprobs
from sparring_trainer.learning.models import load_model, load_tokenizer

_TEXT = (
    "What is zinc, and what is it used for? "
    "Zinc is a metal. It keeps steel from rusting, and people need a little of it in their food."
)
_MOST_TOKENS = 64


def probe_of(model: PreTrainedModel, folder: Path) -> Probe:
    """What a model says, in fp32, of a question and an answer, 64 tokens at most.

    The model's weights are widened to fp32 in place; the folder need hold only the tokenizer.
    """
    ids = load_tokenizer(folder).encode(_TEXT)[:_MOST_TOKENS]
    # A certain token can come out as +1e-8 by rounding.
    logprobs = [min(value, 0.0) for value in full_logprobs(model.float(), ids).tolist()]
    return Probe(token_ids=tuple(ids), logprobs=tuple(logprobs))


def write_probe_for(folder: Path) -> Probe:
    """Write the probe of a checkpoint folder. Raises InvalidInput for one that cannot be loaded."""
    probe = probe_of(load_model(folder), folder)
    write_probe(folder, probe)
    return probe


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m sparring_trainer.learning.probe", description=__doc__)
    parser.add_argument("folder", type=Path, help="a Hugging Face checkpoint folder")
    folder: Path = parser.parse_args().folder
    try:
        write_probe_for(folder)
    except SparringError as error:
        return fail(error.message)
    return 0


if __name__ == "__main__":
    sys.exit(main())
