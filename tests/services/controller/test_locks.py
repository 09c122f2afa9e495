"""Who holds what: a cancel and a resume at the same moment."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from playing import ONCE, start

from sparring_controller.api.controller import Controller
from sparring_controller.store import runs
from sparring_shared.errors import Conflict


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
