"""Stages in the database: claims with a lease and a fencing token, and releases that an old token cannot make.

Every function takes part in the caller's transaction; those that change a running stage return False when `token` is no
longer the latest, and then have changed nothing. Durations are in seconds, counted by the database's clock from now on.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, case, exists, func, insert, or_, select, true, update

from sparring_controller.store.clock import Now, now
from sparring_controller.store.records import StageRow
from sparring_controller.store.tables import runs, stages
from sparring_shared.wire.controller import StageName

MAX_LAPSES = 10
LONGEST_WAIT = 60.0
"""Seconds; what would have to wait longer was put off before the clock was set back, and is due."""
_OPEN = ("pending", "running", "waiting")
_FRESH = {"not_before": 0.0, "rung_at": None, "attempt": 0, "lapses": 0, "outages": 0, "waiting_since": None, "error": None}


def add(
    connection: Connection,
    key: str,
    run_id: str,
    round_number: int,
    stage: StageName,
    shard: int,
    rung_at: float | None = None,
) -> StageRow:
    """Insert a stage, pending; in the place of one that was undone its tokens go on, so that who held that one stays fenced.

    With `rung_at` Redis is about to be told. Raises AlreadyThere when the stage is there.
    """
    row = StageRow(key=key, run_id=run_id, round=round_number, stage=stage, shard=shard, rung_at=rung_at)
    there = (stages.c.run_id == run_id, stages.c.round == round_number, stages.c.stage == stage, stages.c.shard == shard)
    undone = update(stages).where(*there, stages.c.state == "undone")
    if not connection.execute(undone.values(**row.model_dump(exclude={"token", "damaged", "result"}))).rowcount:
        connection.execute(insert(stages).values(**row.model_dump()))
    return row


def get(connection: Connection, key: str, *, lock: bool = False) -> StageRow | None:
    """The stage, if wanted locked until the transaction ends."""
    query = select(stages).where(stages.c.key == key)
    found = connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    return None if found is None else _row(found)


def at(connection: Connection, run_id: str, number: int, stage: StageName, shard: int) -> StageRow | None:
    """The stage at this place, if there is one."""
    place = (stages.c.round == number, stages.c.stage == stage, stages.c.shard == shard)
    return next(iter(_rows(connection, stages.c.run_id == run_id, *place)), None)


def of_run(connection: Connection, run_id: str) -> tuple[StageRow, ...]:
    """All stages of a run, by round, stage and shard."""
    return _rows(connection, stages.c.run_id == run_id)


def outline(connection: Connection, run_id: str, *names: StageName) -> tuple[StageRow, ...]:
    """All stages of a run, if wanted only those of these names; without the results of what there may be thousands of."""
    result = case((stages.c.stage.in_(("prompts", "evaluate")), stages.c.result), else_=None).label("result")
    columns = [column for column in stages.c if column is not stages.c.result]
    wanted = stages.c.stage.in_(names) if names else true()
    return _found(connection, select(*columns, result).where(stages.c.run_id == run_id, wanted))


def of_rounds(connection: Connection, run_id: str, rounds: Sequence[int], *names: StageName) -> tuple[StageRow, ...]:
    """The stages of some rounds, if wanted only those of these names."""
    wanted = stages.c.stage.in_(names) if names else true()
    return _rows(connection, stages.c.run_id == run_id, stages.c.round.in_(rounds), wanted)


def named(connection: Connection, run_id: str, names: Sequence[StageName]) -> tuple[StageRow, ...]:
    """The stages of these names, of all rounds."""
    return _rows(connection, stages.c.run_id == run_id, stages.c.stage.in_(names))


def of_shard(connection: Connection, run_id: str, number: int, shard: int) -> tuple[StageRow, ...]:
    """What was made of one shard of a round."""
    names = stages.c.stage.in_(("generate", "judge", "select"))
    return _rows(connection, stages.c.run_id == run_id, stages.c.round == number, names, stages.c.shard == shard)


def unfinished(connection: Connection, run_id: str) -> tuple[StageRow, ...]:
    """All stages of the rounds that are not evaluated; of the others `train` and `evaluate`, which later rounds build on."""
    over = select(stages.c.round).where(stages.c.run_id == run_id, stages.c.stage == "evaluate", stages.c.state == "done")
    built_on = stages.c.stage.in_(("train", "evaluate"))
    return _rows(connection, stages.c.run_id == run_id, or_(built_on, stages.c.round.not_in(over)))


def all_selected(connection: Connection, run_id: str, number: int) -> bool:
    """Whether every shard of a round has its pairs."""
    selected = stages.alias()
    theirs = (selected.c.run_id == run_id, selected.c.round == number, selected.c.stage == "select", selected.c.state == "done")
    mine = (stages.c.run_id == run_id, stages.c.round == number, stages.c.stage == "generate")
    # From the last shard on: as long as there is one without pairs, it is found at once.
    query = select(stages.c.shard).where(*mine, ~exists().where(*theirs, selected.c.shard == stages.c.shard))
    return connection.scalar(query.order_by(stages.c.shard.desc()).limit(1)) is None


def quiet_for(connection: Connection, run_id: str, names: Sequence[StageName], seconds: float) -> list[StageRow]:
    """The stages of these names that are not at their end, and of which Redis was not told for so long."""
    # Told of in the future: before the clock was set back.
    told = or_(stages.c.rung_at.is_(None), stages.c.rung_at < Now() - seconds, stages.c.rung_at > Now())
    return list(_rows(connection, stages.c.run_id == run_id, stages.c.state.in_(_OPEN), stages.c.stage.in_(names), told))


def claim(connection: Connection, key: str, owner: str, lease_seconds: float) -> StageRow | None:
    """Make `owner` the only one who may commit this stage; None when there is nothing to do now.

    None: unknown, done or failed, held under a live lease, not due yet, or its run is not active. A stage whose owner was
    lost `MAX_LAPSES` times fails instead: it may be what ends them.
    """
    row = get(connection, key, lock=True)
    moment = now(connection)
    if row is None or row.state not in _OPEN or moment < row.not_before <= moment + LONGEST_WAIT:
        return None
    # A lease that ends later than one given now was given before the clock was set back: its owner, if it lives, renews it.
    if row.state == "running" and moment < row.lease_until <= moment + lease_seconds:
        return None
    if connection.scalar(select(runs.c.control).where(runs.c.run_id == row.run_id)) != "active":
        return None
    lapses = row.lapses + (row.state == "running")
    if lapses > MAX_LAPSES:
        lost = f"the worker was lost {lapses} times in this stage; look into its log (was memory short?), then resume."
        _change(connection, key, state="failed", error=lost, lapses=lapses, token=row.token + 1)
        return None
    # Long work that is only looked at again began when it was first claimed.
    again = row.state == "waiting" and row.progress is not None
    started = row.started_at if again else moment
    _change(
        connection,
        key,
        state="running",
        owner=owner,
        token=row.token + 1,
        lease_until=moment + lease_seconds,
        lapses=lapses,
        started_at=started,
    )
    return get(connection, key)


def renew(connection: Connection, key: str, token: int, lease_seconds: float) -> bool:
    """The heartbeat of an owner: False means that it was fenced off."""
    return _release(connection, key, token, lease_until=Now() + lease_seconds)


def held(connection: Connection, key: str, token: int) -> bool:
    """Whether `token` is still the latest; from here to the end of the transaction nobody else can claim the stage."""
    row = get(connection, key, lock=True)
    return row is not None and row.state == "running" and row.token == token


def commit(connection: Connection, key: str, token: int, result: Mapping[str, Any]) -> bool:
    """The stage is done, with this result."""
    done = {"state": "done", "finished_at": Now(), "seconds": Now() - stages.c.started_at, "result": json.dumps(result)}
    return _release(connection, key, token, **done, progress=None, error=None, waiting_since=None)


def look_again(
    connection: Connection, key: str, token: int, seconds: float, progress: Mapping[str, Any] | None, error: str | None
) -> bool:
    """Long work goes on elsewhere, or has to wait for its turn; look at it again in `seconds`."""
    kept = None if progress is None else json.dumps(progress)
    return _wait(connection, key, token, seconds, progress=kept, error=error, waiting_since=None)


def waited(connection: Connection, row: StageRow) -> float:
    """For how many seconds a service has not answered; 0 when it did at the last look."""
    return 0.0 if row.waiting_since is None else now(connection) - row.waiting_since


def postpone(connection: Connection, key: str, token: int, seconds: float, error: str, *, anew: bool = False) -> bool:
    """A service does not answer: try again in `seconds`; this is not an attempt. `anew`: it had answered in between."""
    since = Now() if anew else func.coalesce(stages.c.waiting_since, Now())
    outages = stages.c.outages + int(anew)
    return _wait(connection, key, token, seconds, error=error, waiting_since=since, outages=outages)


def retry(connection: Connection, key: str, token: int, attempt: int, seconds: float, error: str) -> bool:
    """An error: this was one more attempt, the next begins in `seconds`."""
    return _wait(connection, key, token, seconds, attempt=attempt, error=error, waiting_since=None)


def fail(connection: Connection, key: str, token: int, error: str) -> bool:
    """An error that another attempt would not mend."""
    return _release(connection, key, token, state="failed", error=error)


def due(connection: Connection, most: int = 1000) -> list[StageRow]:
    """The stages of active runs that may begin and that Redis was not told of since they may; the longest due first."""
    begins = or_(stages.c.not_before <= Now(), stages.c.not_before > Now() + LONGEST_WAIT)
    waits = (stages.c.rung_at.is_(None), stages.c.state.in_(("pending", "waiting")), begins)
    query = select(stages).join(runs, runs.c.run_id == stages.c.run_id).where(*waits, runs.c.control == "active")
    return [_row(found) for found in connection.execute(query.order_by(stages.c.not_before).limit(most)).mappings()]


def rung(connection: Connection, key: str, token: int) -> None:
    """Redis was told of the stage, as it was when `token` was the latest: one that was claimed since waits for another ring."""
    connection.execute(update(stages).where(stages.c.key == key, stages.c.token == token).values(rung_at=Now()))


def unrung(connection: Connection, keys: Sequence[str]) -> None:
    """Redis could not be told of stages that nobody has taken up yet."""
    connection.execute(update(stages).where(stages.c.key.in_(keys), stages.c.state == "pending").values(rung_at=None))


def do_again(connection: Connection, key: str) -> None:
    """A stage that is done becomes pending, as its file was damaged; its result stays until it is committed anew."""
    again = {"state": "pending", "token": stages.c.token + 1, "damaged": stages.c.damaged + 1}
    _change(connection, key, **again, **_FRESH, progress=None)


def undo(connection: Connection, keys: Sequence[str]) -> None:
    """These stages are to be planned anew, each with its former result at hand; workers that hold a lease are fenced off."""
    gone = update(stages).where(stages.c.key.in_(keys))
    connection.execute(gone.values(state="undone", token=stages.c.token + 1))


def revive(connection: Connection, run_id: str) -> None:
    """Failed stages become pending with all their attempts; what waits, for a message or its time, becomes due."""
    mine = stages.c.run_id == run_id
    connection.execute(update(stages).where(mine).values(damaged=0))
    failed = update(stages).where(mine, stages.c.state == "failed")
    connection.execute(failed.values(state="pending", progress=None, **_FRESH))
    connection.execute(update(stages).where(mine, stages.c.state.in_(("pending", "waiting"))).values(**_FRESH))


def cancel(connection: Connection, run_id: str, reason: str) -> None:
    """Whatever is not done will not be; workers that hold a lease are fenced off."""
    mine = update(stages).where(stages.c.run_id == run_id, stages.c.state.in_(_OPEN))
    connection.execute(mine.values(state="failed", error=reason, token=stages.c.token + 1))


def begun(connection: Connection, run_id: str, stage: StageName) -> list[StageRow]:
    """A run's stages of this name that were ever claimed and are not done."""
    mine = (stages.c.run_id == run_id, stages.c.stage == stage, stages.c.state != "done", stages.c.token > 0)
    return [_row(found) for found in connection.execute(select(stages).where(*mine)).mappings()]


def cancelled(connection: Connection, key: str) -> bool:
    """Whether the run of a stage was cancelled."""
    query = select(runs.c.control).join(stages, runs.c.run_id == stages.c.run_id).where(stages.c.key == key)
    return connection.scalar(query) == "cancelled"


def _wait(connection: Connection, key: str, token: int, seconds: float, **values: Any) -> bool:
    due = Now() + min(seconds, LONGEST_WAIT)
    return _release(connection, key, token, state="waiting", not_before=due, rung_at=None, **values)


def _release(connection: Connection, key: str, token: int, **values: Any) -> bool:
    mine = update(stages).where(stages.c.key == key, stages.c.token == token, stages.c.state == "running")
    return connection.execute(mine.values(**values)).rowcount == 1


def _change(connection: Connection, key: str, **values: Any) -> None:
    connection.execute(update(stages).where(stages.c.key == key).values(**values))


def _rows(connection: Connection, *wanted: ColumnElement[bool]) -> tuple[StageRow, ...]:
    return _found(connection, select(stages).where(*wanted))


def _found(connection: Connection, query: Select[Any]) -> tuple[StageRow, ...]:
    ordered = query.where(stages.c.state != "undone").order_by(stages.c.round, stages.c.stage, stages.c.shard)
    return tuple(_row(found) for found in connection.execute(ordered).mappings())


def _row(found: Mapping[Any, Any]) -> StageRow:
    read = {name: None if found[name] is None else json.loads(found[name]) for name in ("result", "progress")}
    return StageRow.model_validate({**found, **read})
