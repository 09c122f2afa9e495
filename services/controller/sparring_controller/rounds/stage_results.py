"""What each stage leaves behind in its row: references to files and counts, never data.

`spent` is what the judges have computed for a stage.
"""

from collections.abc import Iterable
from typing import Any

from sparring_controller.rounds.clients.bill import Spent
from sparring_controller.store.records import FileRef, StageRow
from sparring_shared.records import JudgeRef, Record
from sparring_shared.wire.trainer import CheckpointRef

Dropped = dict[str, int]
"""How many prompts were left out, by reason, e.g. `{"tied": 3, "same text": 1}`."""


class PromptsResult(Record):
    """The shards of a round's prompts, in order; `drift` of the judge since it was pinned, None where it is not watched."""

    files: tuple[FileRef, ...]
    drift: float | None = None
    spent: Spent = Spent()


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
    """The preferences of one shard, and the judges that gave them; of its `candidates` they saw `truncated` only in part."""

    file: FileRef
    dropped: Dropped
    candidates: int
    truncated: int
    judges: tuple[JudgeRef, ...] = ()
    spent: Spent = Spent()


def distinct(judges: Iterable[JudgeRef]) -> tuple[JudgeRef, ...]:
    """Each judge once, in the order in which they come."""
    return tuple(dict.fromkeys(judges))


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
    spent: Spent = Spent()


def file_of(row: StageRow, shard: int = 0) -> FileRef:
    """The file of records that a stage which is done has made; of `prompts` that of one shard."""
    match row.stage:
        case "prompts":
            return PromptsResult.model_validate(row.result).files[shard]
        case "generate":
            return GenerateResult.model_validate(row.result).file
        case "judge":
            return JudgeResult.model_validate(row.result).file
        case "select":
            return SelectResult.model_validate(row.result).file
        case "evaluate":
            return EvaluateResult.model_validate(row.result).answers
        case "train":
            raise ValueError("train leaves a checkpoint, not a file of records")
