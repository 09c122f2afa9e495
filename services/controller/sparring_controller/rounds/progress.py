"""Moves runs on: applies the plan to the database, then rings for every stage that Redis was not told of."""

import logging
from collections.abc import Sequence

from sparring_controller.rounds.doorbell import Doorbell
from sparring_controller.rounds.planner import QUEUES, CreateStage, FailRun, overdue, plan, settled
from sparring_controller.store import runs, stages
from sparring_controller.store.clock import now
from sparring_controller.store.database import AlreadyThere, Connection, Database
from sparring_controller.store.records import RunSnapshot, StageRow
from sparring_shared.errors import Unavailable
from sparring_shared.wire.controller import StageName

log = logging.getLogger(__name__)

_TRIES = 5


def advance(database: Database, doorbell: Doorbell, run_id: str, after: StageRow | None = None) -> None:
    """Create what the run needs next, or what can follow from a stage that has just ended, and ring for it.

    Doing so twice, or at once from two places, changes nothing more: what was planned on a state that another process has
    changed since is planned anew. The write lock is held for what is written alone. If Redis does not answer, the stages stay
    in the database and the reconciler rings later.
    """
    for _ in range(_TRIES):
        with database.reading() as connection, runs.readable(connection, run_id):
            snapshot = _around(connection, run_id, after)
            actions, over = plan(snapshot, after), settled(snapshot) and not snapshot.run.settled
        if snapshot.run.control == "active":
            # Those that have a time are rung for when it has come.
            new = [row for row in snapshot.stages if row.state == "pending" and row.rung_at is None and not row.not_before]
            ring(database, doorbell, new)
        if not actions and not over:
            return
        try:
            with database.writing() as connection:
                if runs.get(connection, run_id, lock=True) != snapshot.run:
                    continue
                created = _apply(connection, run_id, actions)
                if over:
                    runs.change(connection, run_id, settled=True)
        except AlreadyThere:
            continue
        _ring_first(database, doorbell, created)
        return
    log.warning("the run %s changed while it was planned, %d times over; the reconciler plans it anew", run_id, _TRIES)


def _around(connection: Connection, run_id: str, after: StageRow | None) -> RunSnapshot:
    """What the planner has to know: of a run as a whole, or of what can follow from one stage."""
    run = runs.get(connection, run_id)
    if after is None:
        return RunSnapshot(run=run, stages=stages.unfinished(connection, run_id))
    number = after.round
    if after.stage in ("train", "evaluate"):
        next_prompts = stages.of_rounds(connection, run_id, (number + 1,), "prompts")
        rows = (*next_prompts, *stages.named(connection, run_id, ("train", "evaluate")))
    elif after.stage == "prompts" or stages.all_selected(connection, run_id, number):
        rows = stages.of_rounds(connection, run_id, (number,))
    else:
        rows = stages.of_shard(connection, run_id, number, after.shard)
    return RunSnapshot(run=run, stages=rows)


def _apply(connection: Connection, run_id: str, actions: Sequence[CreateStage | FailRun]) -> list[StageRow]:
    moment, new = now(connection), list[StageRow]()
    for action in actions:
        match action:
            case CreateStage():
                new.append(stages.add(connection, action.key, run_id, action.round, action.stage, action.shard, moment))
            case FailRun():
                log.error("run %s failed: %s", run_id, action.error)
                runs.change(connection, run_id, control="failed", error=action.error)
    return new


def _ring_first(database: Database, doorbell: Doorbell, new: Sequence[StageRow]) -> None:
    """Ring for stages that have just been created; those that Redis does not take count as not rung for."""
    for position, row in enumerate(new):
        try:
            doorbell.ring(row.key, row.stage)
        except Unavailable as error:
            log.warning("%s The reconciler will ring again.", error)
            with database.writing() as connection:
                stages.unrung(connection, [each.key for each in new[position:]])
            return


def ring_due(database: Database, doorbell: Doorbell) -> None:
    """Ring for every stage that has waited long enough: for its next attempt, its next look, or for Redis."""
    with database.reading() as connection:
        due = stages.due(connection)
    ring(database, doorbell, due)


def ring_overdue(database: Database, doorbell: Doorbell, run_id: str, patience: float) -> list[StageRow]:
    """Ring again for stages that should long have been taken up, and whose queue has nothing waiting; returns them.

    A queue with messages needs no further one: its workers are busy, or not there.
    """
    try:
        quiet: list[StageName] = [stage for stage in QUEUES if doorbell.quiet(stage)]
    except Unavailable as error:
        log.warning("%s", error)
        return []
    with database.reading() as connection:
        moment = now(connection)
        late = [row for row in stages.quiet_for(connection, run_id, quiet, patience) if overdue(row, moment, patience)]
    for row in late:
        log.info("ringing again for %s of run %s, round %d, shard %d", row.stage, row.run_id, row.round, row.shard)
    ring(database, doorbell, late)
    return late


def ring(database: Database, doorbell: Doorbell, rows: list[StageRow]) -> None:
    """Ring for stages and note when; stops at the first one that Redis does not take."""
    for row in rows:
        try:
            doorbell.ring(row.key, row.stage)
        except Unavailable as error:
            log.warning("%s The reconciler will ring again.", error)
            return
        with database.writing() as connection:
            stages.rung(connection, row.key, row.token)
