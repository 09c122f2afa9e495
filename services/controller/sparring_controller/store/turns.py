"""Who uses a generator and who waits for it, a row for each stage. Every function takes part in the caller's transaction."""

from typing import Literal

from sqlalchemy import Connection, Update, and_, delete, insert, or_, select, text, update

from sparring_controller.store.clock import Now
from sparring_controller.store.stages import LONGEST_WAIT
from sparring_controller.store.tables import runs, stages, turns
from sparring_shared.records import Record

TurnState = Literal["waits", "has", "keeps"]


class Turn(Record):
    """A stage and its use of the generator: the digest of a policy, or a training job where the two share a GPU.

    It `waits` since `asked`; it `has` the generator, in the turn of its use that began at `since`, as long as it renews its
    lease, `until`; it `keeps` it, having done its part, for others of its run. Who waits and does not look lapses as well.
    """

    stage: str
    run_id: str
    use: str
    state: TurnState
    asked: float
    since: float | None
    until: float


def lock(connection: Connection) -> None:
    """Until the transaction ends nobody else changes a turn; on SQLite whoever may write holds all others off."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("LOCK TABLE turns IN SHARE ROW EXCLUSIVE MODE"))


def every(connection: Connection, generator: str) -> list[Turn]:
    """Who has, keeps or awaits the generator and has not let that lapse; others, and who wants it no more, are removed."""
    wants = (
        select(stages.c.key)
        .join(runs, runs.c.run_id == stages.c.run_id)
        .where(stages.c.key == turns.c.stage, stages.c.state.in_(("running", "waiting")), runs.c.control == "active")
        .exists()
    )
    gone = or_(turns.c.until <= Now(), and_(turns.c.state == "waits", ~wants))
    connection.execute(delete(turns).where(turns.c.generator == generator, gone))
    found = connection.execute(select(turns).where(turns.c.generator == generator).order_by(turns.c.asked))
    names = list(Turn.model_fields)
    return [Turn.model_validate({name: row[name] for name in names}) for row in found.mappings()]


def write(connection: Connection, generator: str, turn: Turn) -> None:
    """What a stage has, keeps or waits for from now on."""
    leave(connection, generator, turn.stage)
    connection.execute(insert(turns).values(generator=generator, **turn.model_dump()))


def leave(connection: Connection, generator: str, stage: str) -> None:
    """The stage neither has the generator nor wants it."""
    connection.execute(delete(turns).where(turns.c.generator == generator, turns.c.stage == stage))


def renew(connection: Connection, stage: str, lease_seconds: float) -> None:
    """The heartbeat of whoever has a generator."""
    mine = update(turns).where(turns.c.stage == stage, turns.c.state == "has")
    connection.execute(mine.values(until=Now() + lease_seconds))


def wanted(connection: Connection, run_id: str, version: int, but: str) -> bool:
    """Whether stages of the run, `but` for one, are still to sample from this version of its policy."""
    samples = or_(
        and_(
            stages.c.stage == "generate", stages.c.round == version + 1, stages.c.state.in_(("pending", "waiting", "running"))
        ),
        and_(stages.c.stage == "evaluate", stages.c.round == version, stages.c.state.in_(("pending", "waiting"))),
    )
    query = select(stages.c.key).join(runs, runs.c.run_id == stages.c.run_id)
    return (
        connection.scalar(
            query.where(stages.c.run_id == run_id, stages.c.key != but, samples, runs.c.control == "active").limit(1)
        )
        is not None
    )


def hold_back(connection: Connection, run_id: str, round_number: int) -> None:
    """One shard asks for the turn of all: the others of its round are not due before it has it, or asks no more."""
    others = _shards(run_id, round_number).where(stages.c.not_before <= Now() + LONGEST_WAIT / 2)
    connection.execute(others.values(not_before=Now() + LONGEST_WAIT, rung_at=None))


def call_up(connection: Connection, run_id: str, round_number: int) -> None:
    """The others of a round are due again."""
    connection.execute(_shards(run_id, round_number).where(stages.c.not_before > Now()).values(not_before=Now(), rung_at=None))


def _shards(run_id: str, round_number: int) -> Update:
    mine = (stages.c.run_id == run_id, stages.c.round == round_number, stages.c.stage == "generate")
    return update(stages).where(*mine, stages.c.state == "pending")
