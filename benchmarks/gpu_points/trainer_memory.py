"""Point 5: the trainer at 7B and 8B shapes, each case in a process of its own. Imports no torch: its processes do."""

import time
from dataclasses import asdict, dataclass, replace

from .processes import play
from .records import Notebook, Setting

SMALLER_CARD_GIB = 80.0
CASE_SECONDS = 150.0


@dataclass(frozen=True)
class Case:
    """One process: a shape, an optimizer, and how much of the card it may use in GiB (None: all)."""

    shape: str
    optimizer: str
    limit_gib: float | None = None

    @property
    def name(self) -> str:
        """As in the findings, e.g. `7B rmsprop of 80 GiB`."""
        limit = "" if self.limit_gib is None else f" of {self.limit_gib:.0f} GiB"
        return f"{self.shape} {self.optimizer}{limit}"


CASES = (
    Case("7B", "rmsprop"),
    Case("7B", "rmsprop", SMALLER_CARD_GIB),
    Case("8B", "rmsprop"),
    Case("7B", "adamw"),
    Case("8B", "adamw"),
    Case("8B", "rmsprop", SMALLER_CARD_GIB),
)
TINY_CASES = (Case("tiny", "rmsprop", 1.0),)


def memory(setting: Setting, notebook: Notebook) -> None:
    """All cases, each in a process of its own, then one rank of FSDP2. Raises for those that failed but by memory."""
    deadline = time.monotonic() + setting.seconds - 5
    failed: list[str] = []
    parts = [
        (case.name, "gpu_points.trainer_stages:one_case", asdict(case)) for case in (TINY_CASES if setting.tiny else CASES)
    ]
    for name, function, arguments in [*parts, ("FSDP2, one rank", "gpu_points.sharded:sharded", {})]:
        left = min(CASE_SECONDS, deadline - time.monotonic())
        if left < 10:
            notebook.add(**{name: {"note": "not run: no time left"}})
            continue
        outcome = play(function, replace(setting, seconds=left), **arguments)
        notebook.add(**{name: outcome.findings | ({"note": outcome.note} if outcome.note else {})})
        failed += [f"{name}: {outcome.note}"] if outcome.status == "failed" else []
    if failed:
        raise RuntimeError("; ".join(failed))
