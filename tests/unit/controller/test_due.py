"""Which stages are due and not rung for: asked of the database every second, so that no message ever has to wait in Redis."""

from collections.abc import Iterator

import pytest
from postgres import ON_BOTH
from rows import run
from sqlalchemy import update

from sparring_controller.store import runs, stages, tables
from sparring_controller.store.database import Database
from sparring_controller.store.schema import migrate


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """One active run with one pending stage, `k`."""
    made = Database(database_url)
    migrate(made)
    with made.writing() as connection:
        runs.add(connection, run())
        stages.add(connection, "k", "small-1", 1, "judge", 0)
    yield made
    made.close()


def due(database: Database) -> list[str]:
    with database.reading() as connection:
        return [row.key for row in stages.due(connection)]


def waits(database: Database, seconds: float) -> int:
    """The stage claimed, and put off for so long; returns the token of that claim."""
    with database.writing() as connection:
        row = stages.claim(connection, "k", "a", 30)
        assert row is not None
        assert stages.look_again(connection, "k", row.token, seconds, None, None)
    return row.token


def rung(database: Database, token: int) -> None:
    with database.writing() as connection:
        stages.rung(connection, "k", token)


@ON_BOTH
def test_a_stage_is_due_until_it_is_rung_for(database: Database) -> None:
    assert due(database) == ["k"]
    rung(database, 0)
    assert due(database) == []


@ON_BOTH
def test_what_waits_is_due_when_its_time_has_come(database: Database) -> None:
    waits(database, 60)
    assert due(database) == []
    with database.writing() as connection:
        connection.exec_driver_sql("UPDATE stages SET not_before = 0")
    assert due(database) == ["k"]


@ON_BOTH
def test_a_ring_for_an_earlier_wait_does_not_count_for_the_next(database: Database) -> None:
    token = waits(database, 0)
    assert due(database) == ["k"]
    waits(database, 0)  # its worker was faster than whoever notes that it was rung for
    rung(database, token)
    assert due(database) == ["k"]


@ON_BOTH
def test_nothing_is_due_of_a_run_that_is_paused(database: Database) -> None:
    with database.writing() as connection:
        runs.change(connection, "small-1", control="paused")
    assert due(database) == []


def test_the_question_is_answered_from_an_index(database: Database) -> None:
    with database.reading() as connection:
        query = (
            "SELECT 1 FROM stages WHERE rung_at IS NULL AND state IN ('pending', 'waiting') AND not_before <= julianday('now')"
        )
        plan = " ".join(row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}"))
    assert "INDEX stages_due (rung_at=? AND state=? AND not_before<?)" in plan


@ON_BOTH
def test_what_was_rung_for_before_a_pause_is_due_after_it(database: Database) -> None:
    rung(database, 0)
    with database.writing() as connection:
        stages.revive(connection, "small-1")
    assert due(database) == ["k"]


@ON_BOTH
def test_what_was_rung_for_in_the_future_was_rung_for_before_the_clock_was_set_back(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(update(tables.stages).values(rung_at=4e9))
        assert [row.key for row in stages.quiet_for(connection, "small-1", ["judge"], 10)] == ["k"]
