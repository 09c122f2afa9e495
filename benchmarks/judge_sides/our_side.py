"""Our side: `python -m judge_sides.our_side FOLDER DEVICE PRECISION`. No cache: each round reads and computes everything."""

import sys
import time
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from sparring_judge.engines.pairrm.checkpoint import find_judge
from sparring_judge.engines.pairrm.linear import Linear
from sparring_judge.engines.pairrm.network import build_network, read_weights
from sparring_judge.engines.pairrm.passes import Pass, cut, lay_out
from sparring_judge.engines.pairrm.tokenizer import load_tokenizer
from sparring_judge.precision import Precision
from sparring_judge.tasks.task import games
from sparring_shared.preference import scores

from .answering import Scores, answer, read_items
from .floor import pass_flops


def main(folder: Path, device: str, precision: Precision) -> None:
    """Load the checkpoint and rank all prompts whenever asked, all passes at once."""
    files = find_judge(str(folder / "pairrm"), None)
    tokenizer = load_tokenizer(files.tokenizer)
    network = build_network(files.encoder, read_weights(files.weights), device, threads=1, precision=precision)
    prompts, candidates = read_items(folder)
    order = games(len(candidates[0]))

    def passes() -> list[Pass]:
        tasks = [
            cut(tokenizer.ids(prompt), [tokenizer.ids(text) for text in texts], files.limits)
            for prompt, texts in zip(prompts, candidates, strict=True)
        ]
        return [lay_out(t.source, t.candidates[i], t.candidates[j], tokenizer.special) for t in tasks for i, j in order]

    def rank(_: dict[str, Any]) -> Scores:
        matrices = np.zeros((len(prompts), len(candidates[0]), len(candidates[0])))
        matrices[:, *np.array(order).T] = np.array(network.logits(passes())).reshape(len(prompts), len(order))
        return [scores(matrix).tolist() for matrix in matrices]

    lengths = [len(one.ids) for one in passes()]
    flops = sum(pass_flops(length, files.encoder.num_hidden_layers, files.encoder.hidden_size) for length in lengths)
    about = {"flops": flops, "tokens": sum(lengths), "matrix_flops": matrix_flops(network.device, network.words.weight.dtype)}
    answer(about, rank)


def matrix_flops(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP per second of a large product, the best of ten; on a CPU with the kernels that the network uses."""
    on_cpu = device.type == "cpu"
    rows, size = (1024, 2048) if on_cpu else (16384, 8192)
    layer = Linear(size, size).requires_grad_(False).to(device, dtype)
    if on_cpu:
        layer.pack()
    x = torch.randn(rows, size, device=device, dtype=dtype)
    clock = time.process_time if on_cpu else time.perf_counter
    taken: list[float] = []
    for _ in range(10):
        start = clock()
        layer(x)[0, 0].item()  # waits for a GPU
        taken.append(clock() - start)
    return 2 * rows * size * size / min(taken)


if __name__ == "__main__":
    assert sys.argv[3] in get_args(Precision)
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])  # pyright: ignore[reportArgumentType]  # as the line above holds
