"""The probe of a checkpoint: a short text and its log-probs, by which another program checks that it serves these weights.

The trainer writes `probe.json` into a checkpoint folder before it is published; the generator compares after each load.
"""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError, model_validator

from sparring_shared.artifacts import write_json
from sparring_shared.errors import InvalidInput
from sparring_shared.records import Record

PROBE = "probe.json"


class Probe(Record):
    """A text of N tokens and what the policy says of it: `logprobs[i]` = log pi(token_ids[i + 1] | token_ids[: i + 1]).

    In nats, computed in fp32, untempered; nothing is said of the first token, so there are N - 1.
    Example: `Probe(token_ids=(5, 9, 2), logprobs=(-3.1, -0.4))`.
    """

    token_ids: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=2)]
    logprobs: tuple[Annotated[float, Field(le=0)], ...]

    @model_validator(mode="after")
    def _one_logprob_less(self) -> Self:
        if len(self.logprobs) != len(self.token_ids) - 1:
            raise ValueError(f"{len(self.token_ids)} tokens need {len(self.token_ids) - 1} logprobs, not {len(self.logprobs)}")
        return self


def read_probe(folder: Path) -> Probe | None:
    """The probe of a checkpoint, None if it has none. Raises InvalidInput for a `probe.json` that is something else."""
    path = folder / PROBE
    if not path.is_file():
        return None
    try:
        return Probe.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise InvalidInput(f"{path} is not a probe: {error.errors()[0]['msg']}.") from None


def write_probe(folder: Path, probe: Probe) -> None:
    """Put the probe into a checkpoint folder that is not yet published."""
    write_json(folder / PROBE, probe.model_dump(mode="json"))


def max_difference(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    """Largest |first[i] - second[i]| in nats; infinite when one is not finite or the lengths differ."""
    if len(first) != len(second):
        return float("inf")
    differences = [abs(a - b) for a, b in zip(first, second, strict=True)]
    return max(differences, default=0.0) if all(d < float("inf") for d in differences) else float("inf")
