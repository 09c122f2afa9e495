"""What people are told of a run: pure functions of a snapshot."""

from collections.abc import Sequence
from datetime import UTC, datetime

from pydantic import ValidationError

from sparring_controller.rounds.stage_results import EvaluateResult, PromptsResult
from sparring_controller.store.records import RunSnapshot, StageRow, UnreadableRun
from sparring_controller.store.runs import unreadable
from sparring_shared.wire.controller import RoundStatus, RunState, RunStatus, StageName, StageStatus

STAGE_ORDER: tuple[StageName, ...] = ("prompts", "generate", "judge", "select", "train", "evaluate")
_SHARDED: tuple[StageName, ...] = ("generate", "judge", "select")


def run_status(seen: RunSnapshot | UnreadableRun, *, with_rounds: bool = True) -> RunStatus:
    """The run, and its rounds unless they are not wanted; one that cannot be read has failed, unless it was cancelled."""
    if isinstance(seen, UnreadableRun):
        return _unreadable(seen)
    try:
        return _readable(seen, with_rounds)
    except ValidationError as error:
        return _unreadable(unreadable(seen.run.model_dump(), error))


def _readable(snapshot: RunSnapshot, with_rounds: bool) -> RunStatus:
    run = snapshot.run
    started = sorted({row.round for row in snapshot.stages}) if with_rounds else []
    return RunStatus(
        run_id=run.run_id,
        name=run.name,
        status=run_state(snapshot),
        requested_rounds=run.requested_rounds,
        completed_rounds=completed_rounds(snapshot),
        created_at=_date(run.created_at),
        error=run.error,
        config=run.config,
        judges=run.judge,
        rounds=tuple(round_status(snapshot, number) for number in started),
    )


def _unreadable(run: UnreadableRun) -> RunStatus:
    return RunStatus(
        run_id=run.run_id,
        name=run.name,
        status="cancelled" if run.control == "cancelled" else "failed",
        requested_rounds=run.requested_rounds,
        completed_rounds=0,
        created_at=_date(run.created_at),
        error=run.error,
        config=None,
    )


def completed_rounds(snapshot: RunSnapshot) -> int:
    """How many rounds, counted from 1 without a gap, are trained and evaluated."""
    number = 0
    while snapshot.done(number + 1, "evaluate"):
        number += 1
    return number


def run_state(snapshot: RunSnapshot) -> RunState:
    """`idle` when all that was asked for is done, `done` when that is also all that the config speaks of."""
    run = snapshot.run
    if run.control != "active":
        return run.control
    completed = completed_rounds(snapshot)
    if completed < run.requested_rounds:
        return "running"
    return "done" if completed >= run.config.rounds else "idle"


def round_status(snapshot: RunSnapshot, number: int) -> RoundStatus:
    """One round with its stages, those that are still to come included."""
    rows = snapshot.of_round(number)
    evaluated = snapshot.done(number, "evaluate")
    failed = any(row.state == "failed" for row in rows) or snapshot.run.control in ("failed", "cancelled")
    names: Sequence[StageName] = STAGE_ORDER if number else ("evaluate",)
    return RoundStatus(
        run_id=snapshot.run.run_id,
        round=number,
        state="done" if evaluated else "failed" if failed else "running",
        stages=tuple(_stage_status(snapshot, number, name) for name in names),
        eta_seconds=None if evaluated else eta_seconds(snapshot, number),
        report=EvaluateResult.model_validate(evaluated.result).report if evaluated else None,
    )


def eta_seconds(snapshot: RunSnapshot, number: int) -> float | None:
    """Seconds until the round is evaluated, from the mean time of the shards that are done; None while there is no basis.

    Sharded stages stream, so the slowest of them counts. A stage that is not done yet is taken to last as long as it did in
    the round before; the training job knows better once it runs.
    """
    streaming = [_remaining(snapshot, number, stage) for stage in _SHARDED] if number else [0.0]
    single = [_remaining(snapshot, number, stage) for stage in (("train", "evaluate") if number else ("evaluate",))]
    known = [seconds for seconds in streaming + single if seconds is not None]
    if len(known) < len(streaming) + len(single):
        return None
    return round(max(known[: len(streaming)]) + sum(known[len(streaming) :]), 1)


def _remaining(snapshot: RunSnapshot, number: int, stage: StageName) -> float | None:
    rows = _rows(snapshot, number, stage)
    left = _shards(snapshot, number, stage) - sum(row.state == "done" for row in rows)
    if left == 0:
        return 0.0
    for row in rows:
        if row.progress and row.progress.get("eta_seconds") is not None:
            return float(row.progress["eta_seconds"])
    times = _times(rows) or _times(_rows(snapshot, number - 1, stage))
    at_once = max(1, sum(row.state == "running" for row in rows))
    return left * sum(times) / len(times) / at_once if times else None


def _times(rows: list[StageRow]) -> list[float]:
    return [row.seconds for row in rows if row.seconds is not None]


def _rows(snapshot: RunSnapshot, number: int, stage: StageName) -> list[StageRow]:
    return [row for row in snapshot.of_round(number) if row.stage == stage]


def _shards(snapshot: RunSnapshot, number: int, stage: StageName) -> int:
    """How many shards a stage will have; 1 as long as the prompts are not cut."""
    prompts = snapshot.done(number, "prompts")
    if stage not in _SHARDED or prompts is None:
        return 1
    return len(PromptsResult.model_validate(prompts.result).files)


def _stage_status(snapshot: RunSnapshot, number: int, stage: StageName) -> StageStatus:
    rows = _rows(snapshot, number, stage)
    shards = _shards(snapshot, number, stage)
    done = sum(row.state == "done" for row in rows)
    errors = [row.error for row in rows if row.error]
    return StageStatus(
        stage=stage,
        shards=shards,
        done=done,
        running=sum(row.state == "running" or (row.state == "waiting" and row.progress is not None) for row in rows),
        failed=sum(row.state == "failed" for row in rows),
        seconds=round(sum(_times(rows)), 3),
        progress=min(1.0, (done + sum(_part(row) for row in rows)) / shards),
        error=errors[-1] if errors else None,
    )


def _part(row: StageRow) -> float:
    """How far a stage is that tells of its steps."""
    if row.state == "done" or not row.progress or not row.progress.get("total_steps"):
        return 0.0
    return min(1.0, row.progress["step"] / row.progress["total_steps"])


def _date(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
