"""What each stage leaves behind in its row: references to files and counts, never data."""

from typing import Any

from sparring_controller.store.records import FileRef
from sparring_shared.records import Record
from sparring_shared.wire.trainer import CheckpointRef

Dropped = dict[str, int]
"""How many prompts were left out, by reason, e.g. `{"tied": 3, "same text": 1}`."""


class PromptsResult(Record):
    """The shards of a round's prompts, in order."""

    files: tuple[FileRef, ...]


class GenerateResult(Record):
    """The candidates of one shard."""

    file: FileRef
    dropped: Dropped


class JudgeResult(Record):
    """The preferences of one shard; of its `candidates` the judge saw `truncated` only in part."""

    file: FileRef
    dropped: Dropped
    candidates: int
    truncated: int


class SelectResult(Record):
    """The pairs of one shard."""

    file: FileRef
    dropped: Dropped


class TrainResult(Record):
    """The next policy version and the training's summary."""

    checkpoint: CheckpointRef
    metrics: dict[str, float]


class EvaluateResult(Record):
    """A policy's held-out answers and the round's report (`RoundReport` as JSON)."""

    answers: FileRef
    report: dict[str, Any]
