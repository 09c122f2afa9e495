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


class AnswerLengths(Record):
    """Sums over `answers` that were sampled: their tokens, their characters as they are judged, how many met `max_tokens`
    (`at_limit`), and how many were left out as `unfinished`."""

    answers: int = 0
    tokens: int = 0
    characters: int = 0
    at_limit: int = 0
    unfinished: int = 0


class GenerateResult(Record):
    """The candidates of one shard, and how long all its answers were."""

    file: FileRef
    dropped: Dropped
    lengths: AnswerLengths = AnswerLengths()


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
