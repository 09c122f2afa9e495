"""Runs in the database. Every function takes part in the caller's transaction."""

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, insert, select, update

from sparring_controller.store import stages
from sparring_controller.store.records import RunRow, RunSnapshot
from sparring_controller.store.tables import runs
from sparring_shared.errors import NotFound

_JSON = ("config", "base", "prompts", "judge")


def add(connection: Connection, row: RunRow) -> None:
    """Insert a new run."""
    values = row.model_dump(mode="json")
    parts = {name: None if values[name] is None else json.dumps(values[name]) for name in _JSON}
    connection.execute(insert(runs).values(**values | parts))


def change(connection: Connection, run_id: str, **values: Any) -> None:
    """Set columns of a run."""
    connection.execute(update(runs).where(runs.c.run_id == run_id).values(**values))


def get(connection: Connection, run_id: str, *, lock: bool = False) -> RunRow:
    """The run, if wanted locked until the transaction ends. Raises NotFound."""
    query = select(runs).where(runs.c.run_id == run_id)
    found = connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    if found is None:
        raise NotFound(f"There is no run {run_id}; GET /v1/runs lists them.")
    return _row(found)


def every(connection: Connection) -> list[RunRow]:
    """All runs, newest first."""
    query = select(runs).order_by(runs.c.created_at.desc(), runs.c.run_id)
    return [_row(found) for found in connection.execute(query).mappings()]


def active(connection: Connection) -> list[str]:
    """Ids of the runs that want to go on."""
    return list(connection.scalars(select(runs.c.run_id).where(runs.c.control == "active", runs.c.settled.is_(False))))


def snapshot(connection: Connection, run_id: str, *, lock: bool = False) -> RunSnapshot:
    """The run with all its stages. Raises NotFound."""
    return RunSnapshot(run=get(connection, run_id, lock=lock), stages=stages.of_run(connection, run_id))


def _row(found: Mapping[Any, Any]) -> RunRow:
    return RunRow.model_validate({**found, **{name: found[name] and json.loads(found[name]) for name in _JSON}})
