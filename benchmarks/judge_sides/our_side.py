"""Our side: `python -m judge_sides.our_side FOLDER DEVICE`. No cache: each round tokenises and computes everything."""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from sparring_judge.checkpoint import find_judge
from sparring_judge.deberta import build_network, read_weights
from sparring_judge.task import games
from sparring_judge.passes import cut, lay_out
from sparring_judge.tokens import load_tokenizer
from sparring_shared.preference import scores

from .answering import Scores, answer, read_items


def main(folder: Path, device: str) -> None:
    """Load the checkpoint and rank all prompts whenever asked, all passes at once."""
    files = find_judge(str(folder / "pairrm"), None)
    tokenizer = load_tokenizer(files.tokenizer)
    network = build_network(files.encoder, read_weights(files.weights), device, threads=1)
    prompts, candidates = read_items(folder)
    order = games(len(candidates[0]))

    def rank(_: dict[str, Any]) -> Scores:
        passes = []
        for prompt, texts in zip(prompts, candidates, strict=True):
            task = cut(tokenizer.ids(prompt), [tokenizer.ids(text) for text in texts], files.limits)
            passes += [lay_out(task.source, task.candidates[i], task.candidates[j], tokenizer.special) for i, j in order]
        logits = np.array(network.logits(passes)).reshape(len(prompts), len(order))
        matrices = np.zeros((len(prompts), len(candidates[0]), len(candidates[0])))
        matrices[:, *np.array(order).T] = logits
        return [scores(matrix).tolist() for matrix in matrices]

    answer(rank)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
