"""Who holds what: a cancel and a resume at the same moment."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from playing import ONCE, rows, start
from postgres import ON_BOTH

from sparring_controller.api.controller import Controller
from sparring_controller.rounds.progress import advance
from sparring_controller.store import runs
from sparring_shared.errors import Conflict
from sparring_shared.run_config import RunConfig


@ON_BOTH
def test_plans_that_are_made_at_once_are_one(controller: Controller, config: dict[str, Any]) -> None:
    run_id = controller.create(ONCE, RunConfig.model_validate(config)).run_id
    with controller.database.writing() as connection:
        runs.change(connection, run_id, requested_rounds=1)
    begin = Barrier(4)

    def plan(_: int) -> None:
        begin.wait(20)
        advance(controller.database, controller.doorbell, run_id)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(plan, range(4)))
    assert [(row.round, row.stage) for row in rows(controller, run_id)] == [(0, "evaluate"), (1, "prompts")]


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_cancel_and_resume_lock_in_one_order(
    controller: Controller, config: dict[str, Any], eventually: Callable[[Callable[[], Any], float], Any]
) -> None:
    run_id = start(controller, config, 1)
    with controller.database.writing() as connection:
        connection.exec_driver_sql("UPDATE stages SET state = 'waiting'")
    controller.pause(ONCE, run_id)
    database = controller.database

    def waiting() -> int:
        with database.reading() as connection:
            found = connection.exec_driver_sql(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            return found.scalar_one()

    with ThreadPoolExecutor(2) as pool:
        with database.writing() as connection:
            runs.lock(connection, run_id)
            resumed = pool.submit(controller.resume, ONCE, run_id)
            eventually(lambda: waiting() == 1, 20)
            cancelled = pool.submit(controller.cancel, ONCE, run_id)
            eventually(lambda: waiting() == 2, 20)
        assert cancelled.result(30).status == "cancelled"
        assert resumed.exception(30) is None or isinstance(resumed.exception(), Conflict)
