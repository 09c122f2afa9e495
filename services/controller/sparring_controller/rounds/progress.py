"""Moves runs on: applies the plan to the database, then rings for every stage that Redis was not told of."""

import logging

from sparring_controller.rounds.doorbell import Doorbell
from sparring_controller.rounds.planner import CreateStage, FailRun, overdue, plan
from sparring_controller.store import runs, stages
from sparring_controller.store.clock import now
from sparring_controller.store.database import Database
from sparring_controller.store.records import RunSnapshot, StageRow
from sparring_shared.errors import Unavailable
from sparring_shared.wire.controller import StageName

log = logging.getLogger(__name__)


def advance(database: Database, doorbell: Doorbell, run_id: str) -> RunSnapshot:
    """Create what the run needs next and ring for it; doing so twice, or at once from two places, changes nothing more.

    If Redis does not answer, the stages stay in the database and the reconciler rings later.
    """
    with database.writing() as connection:
        for action in plan(runs.snapshot(connection, run_id, lock=True)):
            match action:
                case CreateStage():
                    stages.add(connection, action.key, run_id, action.round, action.stage, action.shard)
                case FailRun():
                    log.error("run %s failed: %s", run_id, action.error)
                    runs.change(connection, run_id, control="failed", error=action.error)
        snapshot = runs.snapshot(connection, run_id)
    new = [row for row in snapshot.stages if row.rung_at is None and row.state in ("pending", "waiting")]
    if snapshot.run.control == "active":
        ring(database, doorbell, new)
    return snapshot


def ring_overdue(database: Database, doorbell: Doorbell, snapshot: RunSnapshot, patience: float) -> list[StageRow]:
    """Ring again for stages that should long have been taken up, and whose queue has nothing waiting; returns them.

    A queue with messages needs no further one: its workers are busy, or not there.
    """
    with database.reading() as connection:
        moment = now(connection)
    late = [row for row in snapshot.stages if overdue(row, moment, patience)]
    try:
        stages_late: set[StageName] = {row.stage for row in late}
        quiet = {stage: doorbell.quiet(stage) for stage in stages_late}
    except Unavailable as error:
        log.warning("%s", error)
        return []
    again = [row for row in late if quiet[row.stage]]
    for row in again:
        log.info("ringing again for %s of run %s, round %d, shard %d", row.stage, row.run_id, row.round, row.shard)
    ring(database, doorbell, again)
    return again


def ring(database: Database, doorbell: Doorbell, rows: list[StageRow]) -> None:
    """Ring for stages and note when; stops at the first one that Redis does not take."""
    for row in rows:
        try:
            doorbell.ring(row.key, row.stage)
        except Unavailable as error:
            log.warning("%s The reconciler will ring again.", error)
            return
        with database.writing() as connection:
            stages.rung(connection, row.key)
