"""Room for a run: what its checkpoints take, and what is free."""

import os
from pathlib import Path

from sparring_controller.doctor.examination import Finding, Level
from sparring_controller.doctor.machine import size
from sparring_controller.doctor.models import Weights
from sparring_shared.run_config import RunConfig, TrainingConfig

_LEAST_BYTES = 1 << 30
_LEAST_FILES = 10_000
_STATES = {"rmsprop": 1, "adamw": 2}
_INNER = 3
"""Inner checkpoints of a training job that lie there at once: two are kept while a third is written."""


def disk(path: Path, weights: Weights | None, config: RunConfig | None) -> list[Finding]:
    """Free bytes and files of the file system of a folder, against what the run needs where that is known."""
    there = next(each for each in (path, *path.absolute().parents) if each.exists())
    system = os.statvfs(there)
    files = system.f_favail if system.f_files else None  # some file systems count none
    return [room(system.f_bavail * system.f_frsize, files, weights, config)]


def room(free: int, files: int | None, weights: Weights | None, config: RunConfig | None) -> Finding:
    """What is to be said of so many free bytes and files."""
    if files is not None and files < _LEAST_FILES:
        return _is("wrong", f"Only {files} more files can be made; remove some, or put the runs folder on another disk.")
    if weights is None:
        known, needed = "what a run needs is not known without its model", 0
    else:
        rounds, training = (config.rounds, config.training) if config else (3, TrainingConfig())
        trains = _INNER * inner(weights, training)
        needed = rounds * stored(weights, training) + trains
        known = f"the checkpoints of {rounds} rounds need about {size(needed)}, {size(trains)} of it only while they train"
    says = f"{size(free)} are free, {known}"
    if free < needed:
        return _is("wrong", f"{says}; make room, or put the runs folder on another disk.")
    if free < needed + _LEAST_BYTES:
        return _is("warning", f"{says}, and answers and logs come on top; make room.")
    return _is("ok", f"{says}.")


def stored(weights: Weights, training: TrainingConfig) -> int:
    """Bytes of the checkpoint of a round: fp32, or where trained in bf16 as the base is stored."""
    return weights.bytes if training.precision == "bf16" else 4 * weights.parameters


def inner(weights: Weights, training: TrainingConfig) -> int:
    """Bytes of an inner checkpoint of a job: weights and what the optimizer keeps, in fp32."""
    return 4 * weights.parameters * (1 + _STATES[training.optimizer])


def _is(level: Level, says: str) -> Finding:
    return Finding(name="disk", level=level, says=says)
