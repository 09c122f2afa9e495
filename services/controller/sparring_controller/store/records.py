"""What the database says of a run: the nouns that planner, workers and API share.

Times are UTC wall-clock seconds since 1970.
"""

import hashlib
import json
from functools import cached_property
from typing import Any, Literal

from sparring_shared.records import Record
from sparring_shared.run_config import RunConfig
from sparring_shared.wire.controller import RunJudges, StageName, StageState
from sparring_shared.wire.trainer import CheckpointRef


def digest(value: object) -> str:
    """sha256 of a JSON value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


Control = Literal["active", "paused", "failed", "cancelled"]


class FileRef(Record):
    """A file of a run: its path within the run folder, its hash, and how many records it holds."""

    path: str
    sha256: str
    rows: int


class PinnedPrompts(Record):
    """The prompts of a run as they were when it was made: a file for each round, or one for all, and the held-out ones."""

    training: tuple[FileRef, ...]
    heldout: FileRef


class RunRow(Record):
    """A run as it was posted, and what was last asked of it. `base` is version 0; `error` says why it failed. Once it is
    `settled` nothing is left to do until somebody asks for more.

    `prompts` is None for a run of an older Sparring, which reads its sources anew each round; `judge` for one that
    takes whatever judge answers, until one is accepted.
    """

    run_id: str
    name: str
    control: Control = "active"
    requested_rounds: int = 0
    created_at: float
    error: str | None = None
    settled: bool = False
    config: RunConfig
    base: CheckpointRef
    prompts: PinnedPrompts | None = None
    judge: RunJudges | None = None


class UnreadableRun(Record):
    """What is known of a run whose records this Sparring cannot read; `error` says what is wrong with them."""

    run_id: str
    name: str
    control: Control
    requested_rounds: int
    created_at: float
    error: str


class StageRow(Record):
    """One stage of one round (and shard), the unit of work, of leases and of commits.

    `token` grows with every claim: only the latest owner may commit. `attempt` counts errors, `lapses` counts owners that
    were lost, `outages` counts the services that went away after they had answered. `rung_at` is when Redis was last told.
    `result` stands once the stage is done; `progress` is what a stage keeps between two looks at long work. `waiting_since`
    stands while a service does not answer, for one outage. `damaged` counts how often its file was found to be another than it
    wrote: then the stage is pending again, with its former `result`. One that built on such a file is `undone`: it is not there
    for anybody, until it is planned anew.
    """

    key: str
    run_id: str
    round: int
    stage: StageName
    shard: int = 0
    state: StageState | Literal["undone"] = "pending"
    owner: str | None = None
    token: int = 0
    lease_until: float = 0.0
    attempt: int = 0
    lapses: int = 0
    outages: int = 0
    not_before: float = 0.0
    rung_at: float | None = None
    waiting_since: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    seconds: float | None = None
    result: dict[str, Any] | None = None
    progress: dict[str, Any] | None = None
    error: str | None = None
    damaged: int = 0

    @cached_property
    def result_digest(self) -> str:
        """sha256 of the result; it determines the stages that build on this one."""
        return digest(self.result)


class RunSnapshot(Record):
    """A run and its stages, or some of them, at one moment; the planner's only input."""

    run: RunRow
    stages: tuple[StageRow, ...] = ()

    @cached_property
    def _by_place(self) -> dict[tuple[int, str, int], StageRow]:
        return {(row.round, row.stage, row.shard): row for row in self.stages}

    def find(self, round_number: int, stage: StageName, shard: int = 0) -> StageRow | None:
        """The row of a stage, if there is one."""
        return self._by_place.get((round_number, stage, shard))

    def done(self, round_number: int, stage: StageName, shard: int = 0) -> StageRow | None:
        """The row of a stage that is done, with its result."""
        row = self.find(round_number, stage, shard)
        return row if row is not None and row.state == "done" else None

    def of_round(self, round_number: int) -> list[StageRow]:
        """All rows of a round."""
        return [row for row in self.stages if row.round == round_number]
