"""Our judge against llm-blender 0.0.2 on real prompts with K real answers, all ordered pairs, random weights of the real shapes.

    make llm-blender                                          # once: its own environment
    .venv/bin/python benchmarks/judge.py --size 6x768
    .venv/bin/python benchmarks/judge.py --size 24x1024 --prompts 2

Each side is a process of its own with one torch thread; the sides take turns round by round. Seconds are medians over the
rounds: process CPU seconds on the CPU, wall seconds on a GPU. The last lines say whether the figures that the project holds itself to are met.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from judge_sides.checkpoint import SHAPES, write_checkpoint
from judge_sides.workload import NoWorkload, load_items, write_items

ROOT = Path(__file__).resolve().parent.parent
SINGLE = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")} | {"TOKENIZERS_PARALLELISM": "false"}
KEEP_MEMORY = {"GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=8589934592:glibc.malloc.trim_threshold=17179869184"}
"""glibc keeps freed memory instead of giving it back to the kernel, which would zero it anew for each large temporary."""


@dataclass(frozen=True)
class Side:
    """One row of the table: a module of `judge_sides`, its Python, its environment and what each round asks of it."""

    name: str
    python: Path
    module: str
    environment: dict[str, str]
    asked: dict[str, Any]


@dataclass(frozen=True)
class Row:
    """What was seen of one side; `seconds` is a median over the rounds."""

    side: str
    seconds: float
    pairs_per_second: float
    ours_times: float
    score_difference: float
    page_faults: int


def sides(python: Path) -> list[Side]:
    """Ours, and llm-blender as SPPO runs it (batch size 1) and as it comes (8)."""
    theirs = "judge_sides.llm_blender_side"
    return [
        Side("sparring", Path(sys.executable), "judge_sides.our_side", {}, {}),
        Side("llm-blender, batch 1", python, theirs, KEEP_MEMORY, {"batch_size": 1}),
        Side("llm-blender, batch 8", python, theirs, KEEP_MEMORY, {"batch_size": 8}),
        Side("llm-blender, batch 1, plain malloc", python, theirs, {}, {"batch_size": 1}),
    ]


class Process:
    """A running side."""

    def __init__(self, side: Side, folder: Path, device: str) -> None:
        command = [str(side.python), "-m", side.module, str(folder), device]
        environment = os.environ | SINGLE | side.environment
        self._process = subprocess.Popen(
            command, cwd=ROOT / "benchmarks", env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def read(self) -> dict[str, Any]:
        """The next reply. Exits when the process has ended."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"{self._process.args} ended; its output above says why.")
        return json.loads(line)

    def play(self, asked: dict[str, Any]) -> dict[str, Any]:
        """One round."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return self.read()

    def end(self) -> None:
        """End it and wait."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)


def play(chosen: list[Side], folder: Path, device: str, rounds: int) -> dict[str, list[dict[str, Any]]]:
    """The replies of each side, by its name."""
    running = {}
    for side in chosen:
        running[side.name] = Process(side, folder, device)
        running[side.name].read()
    replies: dict[str, list[dict[str, Any]]] = {side.name: [] for side in chosen}
    for _ in range(rounds):
        for side in chosen:
            replies[side.name].append(running[side.name].play(side.asked))
            last = replies[side.name][-1]
            print(f"{side.name}: {last['cpu_s']:.1f} CPU s, {last['wall_s']:.1f} s", file=sys.stderr, flush=True)
    for process in running.values():
        process.end()
    return replies


def rows(replies: dict[str, list[dict[str, Any]]], pairs: int, seconds: str) -> list[Row]:
    """The table; the first side is ours."""
    medians = {name: statistics.median(one[seconds] for one in found) for name, found in replies.items()}
    ours, wanted = next(iter(medians)), np.array(replies["llm-blender, batch 1"][0]["scores"])
    return [
        Row(
            side=name,
            seconds=round(median, 3),
            pairs_per_second=round(pairs / median, 3),
            ours_times=round(median / medians[ours], 2),
            score_difference=max(float(np.abs(np.array(one["scores"]) - wanted).max()) for one in replies[name]),
            page_faults=int(statistics.median(one["page_faults"] for one in replies[name])),
        )
        for name, median in medians.items()
    ]


def main() -> int:
    """Exit code 0 when all figures are met, 1 when not, 2 with one sentence when it cannot run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SHAPES, default="6x768")
    parser.add_argument("--prompts", type=int, default=12)
    parser.add_argument("--k", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--python", type=Path, default=ROOT / ".venv-llm-blender" / "bin" / "python")
    parser.add_argument("--sides", default="")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    try:
        items, texts = load_items(options.data, options.prompts, options.k)
    except NoWorkload as error:
        print(f"judge: {error}", file=sys.stderr)
        return 2
    chosen = sides(options.python)
    if options.sides: chosen=[chosen[int(c)] for c in options.sides]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_checkpoint(folder, options.size, texts)
        write_items(items, folder / "items.jsonl")
        replies = play(chosen, folder, options.device, options.rounds)
    pairs = options.prompts * options.k * (options.k - 1)
    for row in rows(replies, pairs, "cpu_s"): print(asdict(row))
    return 0


if __name__ == "__main__":
    sys.exit(main())
