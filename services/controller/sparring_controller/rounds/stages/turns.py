"""A stage's turn on the generator, by a lease in the database: several runs share one without evicting each other's policy.

A turn is renewed with the lease of its stage, so whoever dies loses both.
"""

from sparring_controller.rounds.lease import Fenced
from sparring_controller.rounds.stages.work import Later, Work
from sparring_controller.rounds.turns import ahead, asked, began
from sparring_controller.store import stages, turns
from sparring_controller.store.clock import now
from sparring_controller.store.database import Connection
from sparring_controller.store.turns import Turn

_LOOK_SECONDS = 2.0


def take_turn(work: Work, use: str) -> Later | None:
    """Before the generator is used, for a policy (its digest) or a job: what to do instead while it is others' turn.

    Raises Fenced where another worker holds the stage by now, and its turn.
    """
    row, generator = work.row, work.settings.generator_url
    with work.database.writing() as connection:
        _lock(connection, work)
        moment, known = now(connection), turns.every(connection, generator)
        before = ahead(known, row.key, use, moment, work.settings.turn_seconds)
        mine = {"stage": row.key, "run_id": row.run_id, "use": use, "until": moment + work.settings.lease_seconds}
        if before is not None:
            # All who wait are looked after by the same workers, which may be busy with a shard for long.
            mine["until"] += work.settings.turn_seconds
            waits = Turn(**mine, state="waits", asked=asked(known, use, moment), since=None)
            turns.write(connection, generator, waits)
            turns.hold_back(connection, row.run_id, row.round)
            return Later(
                _LOOK_SECONDS, row.progress, f"It is the turn of run {before.run_id} on the generator; this stage waits."
            )
        shared = [turn for turn in known if turn.use == use and turn.state != "waits"]
        for turn in (turn for turn in known if turn.state == "keeps"):
            turns.leave(connection, generator, turn.stage)
        turns.write(connection, generator, Turn(**mine, state="has", asked=moment, since=began(shared, moment)))
        if any(turn.stage == row.key and turn.state == "waits" for turn in known):
            turns.call_up(connection, row.run_id, row.round)
    return None


def leave_turn(work: Work, version: int | None = None) -> None:
    """Once the generator has done its part: it is kept for those of the run that still want this version of its policy.

    Raises Fenced likewise.
    """
    row, generator = work.row, work.settings.generator_url
    with work.database.writing() as connection:
        _lock(connection, work)
        known = turns.every(connection, generator)
        mine = next((turn for turn in known if turn.stage == row.key), None)
        if mine is None:
            return
        if version is not None and turns.wanted(connection, row.run_id, version, but=row.key):
            until = now(connection) + work.settings.lease_seconds
            turns.write(connection, generator, mine.model_copy(update={"state": "keeps", "until": until}))
        else:
            turns.leave(connection, generator, row.key)
            for turn in (turn for turn in known if turn.state == "keeps" and (turn.run_id, turn.use) == (row.run_id, mine.use)):
                turns.leave(connection, generator, turn.stage)


def _lock(connection: Connection, work: Work) -> None:
    turns.lock(connection)
    # Read without a lock on the stage: the thread that renews its lease locks the stage first and the turn then.
    known = stages.get(connection, work.row.key)
    if known is None or known.token != work.row.token:
        raise Fenced(f"{work.row.stage} of run {work.row.run_id}, round {work.row.round}, token {work.row.token}")
