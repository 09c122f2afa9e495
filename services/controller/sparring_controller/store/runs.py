"""Runs in the database. Every function takes part in the caller's transaction.

What a run's rows hold may be of another Sparring and not fit its records any more: that is the error of this run alone.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection, insert, select, update

from sparring_controller.store import stages
from sparring_controller.store.config_versions import newest, upgraded
from sparring_controller.store.records import RunRow, RunSnapshot, UnreadableRun
from sparring_controller.store.tables import runs
from sparring_shared.errors import Conflict, InvalidInput, NotFound
from sparring_shared.run_config import RunConfig, explain
from sparring_shared.wire.controller import StageName

_JSON = ("config", "base", "prompts", "judge")
_HEAD = (runs.c.run_id, runs.c.name, runs.c.control, runs.c.requested_rounds, runs.c.created_at)


class Unreadable(Conflict):
    """The records of `run` do not fit this Sparring."""

    def __init__(self, run: UnreadableRun) -> None:
        super().__init__(run.error)
        self.run = run


def add(connection: Connection, row: RunRow) -> None:
    """Insert a new run."""
    values = row.model_dump(mode="json")
    parts = {name: None if values[name] is None else json.dumps(values[name]) for name in _JSON}
    connection.execute(insert(runs).values(**values | parts, config_version=newest()))


def change(connection: Connection, run_id: str, **values: Any) -> None:
    """Set columns of a run."""
    connection.execute(update(runs).where(runs.c.run_id == run_id).values(**values))


def change_config(connection: Connection, run_id: str, config: RunConfig) -> None:
    """Give a run another config."""
    change(connection, run_id, config=config.model_dump_json(), config_version=newest())


def get(connection: Connection, run_id: str, *, lock: bool = False) -> RunRow:
    """The run, if wanted locked until the transaction ends. Raises NotFound, Unreadable."""
    query = select(runs).where(runs.c.run_id == run_id)
    found = connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    if found is None:
        raise _unknown(run_id)
    with readable(connection, run_id):
        return _row(found)


def lock(connection: Connection, run_id: str) -> None:
    """Hold a run until the transaction ends, before any of its stages, as everybody does. Raises NotFound."""
    found = connection.scalar(select(runs.c.run_id).where(runs.c.run_id == run_id).with_for_update())
    if found is None:
        raise _unknown(run_id)


def ids(connection: Connection) -> list[str]:
    """Ids of all runs, newest first."""
    return list(connection.scalars(select(runs.c.run_id).order_by(runs.c.created_at.desc(), runs.c.run_id)))


def active(connection: Connection) -> list[str]:
    """Ids of the runs that want to go on."""
    return list(connection.scalars(select(runs.c.run_id).where(runs.c.control == "active", runs.c.settled.is_(False))))


def snapshot(connection: Connection, run_id: str, *, lock: bool = False) -> RunSnapshot:
    """The run with all its stages. Raises NotFound, Unreadable."""
    run = get(connection, run_id, lock=lock)
    with readable(connection, run_id):
        return RunSnapshot(run=run, stages=stages.of_run(connection, run_id))


def outline(connection: Connection, run_id: str, *names: StageName) -> RunSnapshot:
    """What people are told of a run: its stages, if wanted only those of these names, without most of their results.

    Raises NotFound, Unreadable.
    """
    run = get(connection, run_id)
    with readable(connection, run_id):
        return RunSnapshot(run=run, stages=stages.outline(connection, run_id, *names))


def look(connection: Connection, run_id: str, *names: StageName) -> RunSnapshot | UnreadableRun:
    """The same, or what is known of a run that cannot be read. Raises NotFound."""
    try:
        return outline(connection, run_id, *names)
    except Unreadable as error:
        return error.run


@contextmanager
def readable(connection: Connection, run_id: str) -> Iterator[None]:
    """Within, what is parsed are records of this run: one that does not fit raises Unreadable."""
    try:
        yield
    except (ValidationError, json.JSONDecodeError, InvalidInput) as error:
        head = connection.execute(select(*_HEAD).where(runs.c.run_id == run_id)).mappings().one()
        raise Unreadable(unreadable(head, error)) from error


def unreadable(head: Mapping[Any, Any], error: Exception) -> UnreadableRun:
    """What is known of a run, by its head, and what is wrong with the rest."""
    why = explain(error.errors()) if isinstance(error, ValidationError) else str(error)
    message = f"The run {head['run_id']} cannot be read: {why} Use the Sparring that made it, or cancel it."
    return UnreadableRun(**{column.name: head[column.name] for column in _HEAD}, error=message)


def _unknown(run_id: str) -> NotFound:
    return NotFound(f"There is no run {run_id}; GET /v1/runs lists them.")


def _row(found: Mapping[Any, Any]) -> RunRow:
    values = {**found, **{name: found[name] and json.loads(found[name]) for name in _JSON}}
    return RunRow.model_validate(values | {"config": upgraded(values["config"], values.pop("config_version"))})
