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


def answer(about: dict[str, Any], rank: Callable[[dict[str, Any]], Scores]) -> None:
    """Say `about` once loaded; then rank whenever asked, and say scores, process CPU and wall seconds, and page faults."""
    replies = sys.stdout
    sys.stdout = sys.stderr  # what the libraries print is no reply
    print(json.dumps(about), file=replies, flush=True)
    for line in sys.stdin:
        faults, wall, cpu = _faults(), time.perf_counter(), time.process_time()
        scores = rank(json.loads(line))
        reply = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall, "page_faults": _faults() - faults}
        print(json.dumps(reply | {"scores": scores}), file=replies, flush=True)


def _faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
