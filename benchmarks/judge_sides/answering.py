"""The loop of a side's process: a round is asked for by a line of JSON and answered by one. Standard library only."""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Scores = list[list[float]]


def read_items(folder: Path) -> tuple[list[str], list[list[str]]]:
    """The prompts, and the candidates of each."""
    rows = [json.loads(line) for line in (folder / "items.jsonl").read_text(encoding="utf-8").splitlines()]
    return [row["prompt"] for row in rows], [row["candidates"] for row in rows]


def answer(rank: Callable[[dict[str, Any]], Scores]) -> None:
    """Play a round for each line of standard input: `rank` gives the scores; process CPU and wall seconds are measured."""
    replies = sys.stdout
    sys.stdout = sys.stderr  # what the libraries print is no reply
    print("{}", file=replies, flush=True)
    for line in sys.stdin:
        faults, wall, cpu = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.perf_counter(), time.process_time()
        scores = rank(json.loads(line))
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
        print(json.dumps({"cpu_s": cpu, "wall_s": wall, "page_faults": faults, "scores": scores}), file=replies, flush=True)
