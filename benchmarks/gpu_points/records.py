"""What a point is, what it is told, and the row that comes of it. Standard library only."""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

Findings: TypeAlias = dict[str, Any]
"""What was measured: JSON values by name."""
Status: TypeAlias = Literal["ran", "failed", "cannot run", "not run"]


class CannotRun(Exception):
    """One sentence that says what a point lacks on this machine."""


@dataclass(frozen=True)
class Setting:
    """Where and at what size a point runs: `device` is `cuda` or `cpu`; `tiny` shapes finish in seconds on a CPU.

    `folder` is the point's own and is removed after it; `seconds` are what it has.
    """

    device: str
    tiny: bool
    folder: str
    seconds: float


@dataclass(frozen=True)
class Point:
    """One point: `function` is `module:name`, called with a `Setting` and a `Notebook` in a process of its own.

    It is ended after `limit` seconds, and not begun where fewer than `least` are left.
    """

    name: str
    function: str
    what: str
    limit: float
    least: float = 10.0


@dataclass(frozen=True)
class Prediction:
    """What was expected of the finding at `path` (keys with `/` between them): that it lies from `low` to `high`."""

    point: str
    path: str
    says: str
    source: str
    low: float = -math.inf
    high: float = math.inf

    def judged(self, findings: Mapping[str, Any], *, applies: bool) -> dict[str, Any]:
        """The prediction with what was found and whether it held; None where it was not measured at the size it is for."""
        found: Any = findings
        for key in self.path.split("/"):
            found = found.get(key) if isinstance(found, dict) else None
        known = applies and isinstance(found, int | float)
        held = self.low <= found <= self.high if known else None
        return {"says": self.says, "source": self.source, "path": self.path, "found": found, "held": held}


@dataclass(frozen=True)
class Row:
    """What came of one point; `note` is the sentence that says why it failed or did not run, `at` when it began (UTC)."""

    point: str
    what: str
    status: Status
    at: str
    seconds: float = 0.0
    note: str | None = None
    findings: Findings = field(default_factory=dict)
    predictions: tuple[dict[str, Any], ...] = ()


@dataclass
class Notebook:
    """Where a point writes what it finds, at once, so that one that is ended keeps what it has."""

    path: Path
    findings: Findings = field(default_factory=dict)

    def add(self, **findings: Any) -> None:
        """Add findings, and write all of them."""
        self.findings |= findings
        write_whole(self.path, self.findings)


def write_whole(path: Path, value: Any) -> None:
    """Write JSON by one rename; a number that is not finite becomes its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(_finite(value), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    temporary.replace(path)


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The rows of an earlier run; none if there is no such file."""
    return json.loads(path.read_text(encoding="utf-8"))["rows"] if path.is_file() else []


def row_dict(row: Row) -> dict[str, Any]:
    """A row as JSON."""
    return asdict(row)


def _finite(value: Any) -> Any:
    match value:
        case float() if not math.isfinite(value):
            return str(value)
        case dict():
            return {key: _finite(one) for key, one in value.items()}
        case list() | tuple():
            return [_finite(one) for one in value]
        case _:
            return value
