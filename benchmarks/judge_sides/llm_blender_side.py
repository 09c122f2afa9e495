"""llm-blender's side, run by its own environment's Python: `python -m judge_sides.llm_blender_side FOLDER DEVICE PRECISION`."""

import contextlib
import importlib
import os
import sys
from pathlib import Path
from typing import Any

from .answering import Scores, answer, read_items

DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}


def main(folder: Path, device: str, precision: str) -> None:
    """Load the checkpoint with `Blender` and rank all prompts whenever asked, in the batch size that is asked for."""
    torch, llm_blender = importlib.import_module("torch"), importlib.import_module("llm_blender")
    torch.set_num_threads(1)
    prompts, candidates = read_items(folder)
    os.chdir(folder)  # the checkpoint names its backbone as a folder beside it
    with contextlib.redirect_stdout(sys.stderr):
        blender = llm_blender.Blender(blender_config=llm_blender.BlenderConfig(device=device, use_tqdm=False))
        blender.loadranker("pairrm", device=device)
    blender.ranker.to(getattr(torch, DTYPES[precision]))

    def rank(asked: dict[str, Any]) -> Scores:
        return blender.rank(prompts, candidates, return_scores=True, batch_size=asked["batch_size"]).tolist()

    answer({}, rank)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
