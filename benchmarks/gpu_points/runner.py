"""All points in their order, within the minutes that there are; what is found is on disk after each."""

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from .predictions import PREDICTIONS
from .processes import play
from .records import Point, Row, Setting, row_dict, rows_of, write_whole


@dataclass(frozen=True)
class Run:
    """What is wanted of a run: on which device, at what size, in how many minutes, into which file."""

    device: str
    tiny: bool
    minutes: float
    report: Path


def run(points: Sequence[Point], wanted: Run, *, keep: bool = False) -> list[Row]:
    """The rows of `points`, each written as soon as it is there; with `keep`, among those of an earlier run."""
    deadline = time.monotonic() + 60 * wanted.minutes
    kept = {row["point"]: row for row in rows_of(wanted.report)} if keep else {}
    found: list[Row] = []
    for point in points:
        print(f"{point.name}: {point.what}", file=sys.stderr, flush=True)
        row = _row(point, wanted, deadline - time.monotonic())
        found.append(row)
        kept[point.name] = row_dict(row)
        command = {"device": wanted.device, "tiny": wanted.tiny, "minutes": wanted.minutes}
        write_whole(wanted.report, {"command": command, "rows": list(kept.values())})
        print(f"{point.name}: {row.status}, {row.seconds:.0f} s {row.note or ''}", file=sys.stderr, flush=True)
    return found


def _row(point: Point, wanted: Run, left: float) -> Row:
    at = datetime.now(UTC).isoformat(timespec="seconds")
    if left < point.least:
        return Row(point.name, point.what, "not run", at, note="not run: no time left")
    with tempfile.TemporaryDirectory() as folder:
        outcome = play(point.function, Setting(wanted.device, wanted.tiny, folder, min(point.limit, left)))
    applies = wanted.device == "cuda" and not wanted.tiny
    judged = tuple(one.judged(outcome.findings, applies=applies) for one in PREDICTIONS if one.point == point.name)
    return Row(point.name, point.what, outcome.status, at, outcome.seconds, outcome.note, outcome.findings, judged)
