"""Controller bodies: runs, rounds and their stages."""

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from sparring_shared.errors import Conflict
from sparring_shared.records import JudgeRef, Record
from sparring_shared.run_config import RunConfig

StageName = Literal["prompts", "generate", "judge", "select", "train", "evaluate"]
StageState = Literal["pending", "running", "waiting", "done", "failed"]
RunState = Literal["idle", "running", "paused", "failed", "cancelled", "done"]


class PinnedJudge(Record):
    """A judge that a run is pinned to: as every one of its answers names it, and as its service was told to load it.

    `pinned` is False where the revision does not say which weights answer, as of an endpoint.
    """

    ref: JudgeRef
    model: str
    pinned: bool


class AcceptedJudge(Record):
    """The operator's word that another judge may go on with the run from `at` (UTC, ISO 8601) on, or the same one.

    `round` is the first one that is wholly its own.
    """

    service: str
    round: int
    before: JudgeRef | None
    after: JudgeRef
    at: str


class RunJudges(Record):
    """The judges of a run by their names in `SPARRING_JUDGE_URLS`, and each exchange that was accepted; `judges.json`."""

    pinned: dict[str, PinnedJudge]
    accepted: tuple[AcceptedJudge, ...] = ()


class StageStatus(Record):
    """One stage of a round, over all its shards: how many there are, how many are done, and how long they took.

    `seconds` is the sum over the shards of the time from claim to commit; `error` is the latest failure, if any.
    """

    stage: StageName
    shards: int
    done: int
    running: int
    failed: int
    seconds: float
    progress: Annotated[float, Field(ge=0, le=1)]
    error: str | None = None


class RoundStatus(Record):
    """Answer of `GET /v1/runs/{run_id}/rounds/{t}`; `report` stands once the round is evaluated."""

    run_id: str
    round: int
    state: Literal["running", "done", "failed"]
    stages: tuple[StageStatus, ...]
    eta_seconds: float | None = None
    report: dict[str, Any] | None = None


class RunStatus(Record):
    """Answer of `POST /v1/runs` and `GET /v1/runs/{run_id}`.

    `requested_rounds` have been asked for, `completed_rounds` are trained and evaluated; `error` says why a run failed.
    `config` is None where this Sparring cannot read what another stored, which `error` then says; `judges` is None for a run
    that was made before runs were pinned to their judges.
    """

    run_id: str
    name: str
    status: RunState
    requested_rounds: int
    completed_rounds: int
    created_at: str
    error: str | None = None
    config: RunConfig | None
    judges: RunJudges | None = None
    rounds: tuple[RoundStatus, ...] = ()

    @property
    def known_config(self) -> RunConfig:
        """The config. Raises Conflict for a run that cannot be read."""
        if self.config is None:
            raise Conflict(self.error or f"The run {self.run_id} cannot be read.")
        return self.config


class RunList(Record):
    """Answer of `GET /v1/runs`, newest first."""

    runs: tuple[RunStatus, ...]


class RoundsRequest(Record):
    """Body of `POST /v1/runs/{run_id}/rounds`: start the next `count` rounds."""

    count: Annotated[int, Field(ge=1, le=1000)] = 1


class ResumeRequest(Record):
    """Body of `POST /v1/runs/{run_id}/resume`.

    With `accept_judge` the run is pinned anew, to the judges that answer now; `max_requests` and `max_tokens` take the place of
    the bounds in the config's `judge`.
    """

    accept_judge: bool = False
    max_requests: Annotated[int, Field(ge=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None


AS_IT_IS: Final = ResumeRequest()
"""To go on with the judges and bounds that the run has."""


class RoundsAccepted(Record):
    """Answer of that: the first and the last round that will be played."""

    run_id: str
    round: int
    last_round: int
    status: RunState
