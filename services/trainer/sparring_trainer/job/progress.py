"""What a running job tells: a row of metrics per step, its status with what it does now, and a summary."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

from sparring_shared.artifacts import fsync, replacing, write_json
from sparring_shared.wire.trainer import CheckpointRef, JobPhase, JobStatus, PhaseName
from sparring_trainer.job.folder import JobFolder
from sparring_trainer.job.inner_checkpoints import complete

_PAIRS = "pairs"
_PHASE_SECONDS = 1.0
"""How often a phase is told that goes on."""


class Progress:
    """Writes `metrics.jsonl` and `status.json` as steps are done. One process of a job writes, the others are silent."""

    def __init__(self, folder: JobFolder, total_steps: int, *, writes: bool) -> None:
        self._folder = folder
        self._total = total_steps
        self._writes = writes
        self._done: list[float] = []
        self._metrics: dict[str, float] = {}
        self._phase: PhaseName | None = None
        self._told = 0.0

    def phase(self, name: PhaseName, done: int = 0, total: int | None = None) -> None:
        """What the job does now. A job that tells nothing new for long is taken to hang, and ended."""
        if self._writes and (name != self._phase or time.monotonic() - self._told > _PHASE_SECONDS):
            self._phase, self._told = name, time.monotonic()
            phase = JobPhase(name=name, done=done, total=total)
            self._folder.write_status(self._folder.status().model_copy(update={"phase": phase}))

    def begin(self, step: int) -> None:
        """Training starts, or goes on, after `step` steps."""
        self._done = [time.monotonic()]
        if self._writes:
            # Steps after the checkpoint from which a job goes on are done again.
            kept = [json.dumps(row) + "\n" for row in self._folder.metric_rows() if row["step"] <= step]
            with replacing(self._folder.metrics) as temporary:
                temporary.write_text("".join(kept), encoding="utf-8")
        self._status(step, None)

    def step(self, step: int, metrics: dict[str, float]) -> None:
        """One optimizer step is done."""
        self._done.append(time.monotonic())
        self._metrics = metrics | {"step_seconds": self._done[-1] - self._done[-2]}
        if self._writes:
            with self._folder.metrics.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({"step": step, **self._metrics}) + "\n")
        mean = (self._done[-1] - self._done[0]) / (len(self._done) - 1)
        self._status(step, mean * (self._total - step))

    def saved(self, checkpoint: Path) -> None:
        """An inner checkpoint is written by all processes; called in the first."""
        # The rows of the steps that it stands for must outlive what it outlives.
        fsync(self._folder.metrics)
        complete(checkpoint)

    def succeed(self, metrics: dict[str, float], checkpoint: CheckpointRef) -> None:
        """The checkpoint is published; `metrics` are those of the last epoch."""
        if self._writes:
            write_json(self._folder.summary, metrics)
            self._folder.write_status(
                JobStatus(
                    job_id=self._folder.job_id,
                    state="succeeded",
                    step=self._total,
                    total_steps=self._total,
                    metrics=metrics,
                    eta_seconds=0.0,
                    checkpoint=checkpoint,
                    error=None,
                )
            )

    def _status(self, step: int, eta_seconds: float | None) -> None:
        if self._writes:
            status = self._folder.status()
            update = {"step": step, "total_steps": self._total, "metrics": self._metrics, "eta_seconds": eta_seconds}
            self._folder.write_status(status.model_copy(update=update))


def summarise(rows: Sequence[dict[str, float]], steps: int) -> dict[str, float]:
    """Means over the last `steps` steps, each step weighted by its pairs.

    Example: `summarise([{"step": 1, "pairs": 3, "loss": 1.0}, {"step": 2, "pairs": 1, "loss": 5.0}], 2) == {"loss": 2.0}`.
    """
    last = rows[-steps:]
    pairs = sum(row[_PAIRS] for row in last)
    names = [name for name in last[-1] if name not in ("step", _PAIRS)]
    return {name: sum(row[_PAIRS] * row[name] for row in last) / pairs for name in names}
