import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from socket import create_server
from threading import Barrier
from typing import Any

import pytest
from rows import run
from sqlalchemy import text

from sparring_controller.rounds.lease import Fenced, Lease
from sparring_controller.store import replies, runs, stages
from sparring_controller.store.clock import now
from sparring_controller.store.database import Connection, Database, DatabaseTrouble
from sparring_controller.store.records import StageRow, UnreadableRun
from sparring_controller.store.replies import Request
from sparring_controller.store.schema import migrate
from sparring_shared.errors import Conflict, InvalidInput, NotFound
from sparring_shared.wire.controller import RoundsAccepted


@pytest.fixture(params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    return request.param


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


def claim(database: Database, owner: str) -> StageRow | None:
    with database.writing() as connection:
        return stages.claim(connection, "k", owner, lease_seconds=30)


def claimed(database: Database, owner: str) -> StageRow:
    row = claim(database, owner)
    assert row is not None
    return row


def later(database: Database, seconds: float) -> None:
    """Let so much time have passed since the stage was written."""
    with database.writing() as connection:
        for column in ("lease_until", "not_before", "waiting_since", "started_at", "rung_at"):
            connection.execute(text(f"UPDATE stages SET {column} = {column} - :seconds"), {"seconds": seconds})


def since(moment: float | None, earlier: float | None) -> float:
    """Seconds between two moments, as exact as the clocks are."""
    assert moment is not None and earlier is not None
    return round(moment - earlier, 2)


def get(database: Database) -> StageRow:
    with database.reading() as connection:
        row = stages.get(connection, "k")
    assert row is not None
    return row


def write(database: Database, change: Callable[[Connection], Any]) -> Any:
    with database.writing() as connection:
        return change(connection)


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_the_file_is_written_ahead_and_synced(database: Database) -> None:
    with database.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 30000


def test_of_two_claims_one_is_given(database: Database) -> None:
    row = claimed(database, "a")
    assert (row.owner, row.token, since(row.lease_until, row.started_at), row.state) == ("a", 1, 30.0, "running")
    later(database, 25)
    assert claim(database, "b") is None


def test_of_many_claims_at_once_one_is_given(database: Database) -> None:
    begin = Barrier(5)

    def compete(owner: str) -> StageRow | None:
        begin.wait(20)
        return claim(database, owner)

    with ThreadPoolExecutor(5) as pool:
        given = [row for row in pool.map(compete, "abcde") if row is not None]
    assert [row.token for row in given] == [1]
    assert get(database).owner == given[0].owner


def test_the_clock_is_the_databases(database: Database) -> None:
    with database.reading() as connection:
        assert abs(now(connection) - time.time()) < 5


def test_a_wait_from_before_the_clock_was_set_back_is_over(database: Database) -> None:
    row = claimed(database, "a")
    assert write(database, lambda c: stages.look_again(c, "k", row.token, 1000.0, None, None))
    assert (write(database, stages.due), claim(database, "a")) == ([], None)
    later(database, -3600)
    assert [each.key for each in write(database, stages.due)] == ["k"]
    assert claimed(database, "a").token == 2


def test_a_lease_from_before_the_clock_was_set_back_does_not_last(database: Database) -> None:
    claimed(database, "a")
    later(database, -3600)
    assert claimed(database, "b").token == 2


def test_a_lapsed_lease_goes_to_the_next_with_a_new_token(database: Database) -> None:
    claimed(database, "a")
    later(database, 31)
    row = claimed(database, "b")
    assert (row.owner, row.token, row.lapses, row.attempt, since(row.lease_until, row.started_at)) == ("b", 2, 1, 0, 30.0)


def test_an_old_token_changes_nothing(database: Database) -> None:
    claimed(database, "a")
    later(database, 31)
    claimed(database, "b")
    before = get(database)
    assert not write(database, lambda c: stages.commit(c, "k", 1, {"stale": True}))
    assert not write(database, lambda c: stages.renew(c, "k", 1, 60.0))
    assert not write(database, lambda c: stages.fail(c, "k", 1, "stale"))
    assert not write(database, lambda c: stages.retry(c, "k", 1, 1, 5.0, "stale"))
    assert not write(database, lambda c: stages.postpone(c, "k", 1, 1.0, "stale"))
    assert not write(database, lambda c: stages.look_again(c, "k", 1, 1.0, None, None))
    assert not write(database, lambda c: stages.held(c, "k", 1))
    assert get(database) == before


def test_a_commit_happens_once(database: Database) -> None:
    claimed(database, "a")
    later(database, 7.5)
    assert write(database, lambda c: stages.held(c, "k", 1))
    assert write(database, lambda c: stages.commit(c, "k", 1, {"rows": 3}))
    row = get(database)
    assert (row.state, row.result) == ("done", {"rows": 3})
    assert 7.5 <= (row.seconds or 0) < 17.5
    assert since(row.finished_at, row.started_at) == round(row.seconds or 0, 2)
    assert not write(database, lambda c: stages.commit(c, "k", 1, {"rows": 4}))
    later(database, 1000)
    assert claim(database, "b") is None


def test_a_renewed_lease_holds(database: Database) -> None:
    claimed(database, "a")
    later(database, 25)
    assert write(database, lambda c: stages.renew(c, "k", 1, 30.0))
    later(database, 15)
    assert claim(database, "b") is None
    later(database, 16)
    assert claimed(database, "b").token == 2


def test_a_waiting_stage_is_not_due_early_and_long_work_keeps_its_beginning(database: Database) -> None:
    claimed(database, "a")
    assert write(database, lambda c: stages.look_again(c, "k", 1, 40.0, {"step": 4}, None))
    assert claim(database, "a") is None
    later(database, 40)
    row = claimed(database, "a")
    assert (row.token, row.progress, row.lapses) == (2, {"step": 4}, 0)
    assert since(row.lease_until, row.started_at) >= 70


def test_waiting_for_a_service_is_no_attempt_and_remembers_since_when(database: Database) -> None:
    for token in (1, 2):
        claimed(database, "a")
        assert write(database, lambda c, t=token: stages.postpone(c, "k", t, 3.0, "The judge is dead."))
        later(database, 4)
    row = get(database)
    assert (row.state, row.attempt, row.error) == ("waiting", 0, "The judge is dead.")
    assert 8 <= write(database, lambda c: stages.waited(c, row)) < 18


def test_a_stage_that_ends_its_workers_fails(database: Database) -> None:
    for _ in range(stages.MAX_LAPSES + 1):
        claimed(database, "a")
        later(database, 31)
    assert claim(database, "a") is None
    row = get(database)
    assert (row.state, row.lapses) == ("failed", 11)
    assert (row.error or "").startswith("the worker was lost 11 times in this stage;")


@pytest.mark.parametrize("control", ["paused", "failed", "cancelled"])
def test_stages_of_a_run_that_is_not_active_are_not_claimed(database: Database, control: str) -> None:
    write(database, lambda c: runs.change(c, "small-1", control=control))
    assert claim(database, "a") is None


def test_a_revived_stage_has_all_its_attempts(database: Database) -> None:
    claimed(database, "a")
    write(database, lambda c: stages.retry(c, "k", 1, 2, 5.0, "Twice."))
    later(database, 6)
    claimed(database, "a")
    write(database, lambda c: stages.fail(c, "k", 2, "Thrice."))
    write(database, lambda c: stages.revive(c, "small-1"))
    row = get(database)
    assert (row.state, row.attempt, row.error, row.token, row.rung_at) == ("pending", 0, None, 2, None)


def test_a_lease_renews_itself_and_notices_when_it_is_lost(database: Database) -> None:
    row = write(database, lambda c: stages.claim(c, "k", "a", 0.3))
    with Lease(database, row, 0.3) as lease:
        deadline = time.monotonic() + 10
        while get(database).lease_until <= row.lease_until:
            assert time.monotonic() < deadline
        lease.check()
        later(database, 60)
        write(database, lambda c: stages.claim(c, "k", "b", 60))
        with pytest.raises(Fenced):
            while time.monotonic() < deadline:
                lease.check()


def test_an_answer_is_given_once_per_key(database: Database) -> None:
    effects: list[int] = []

    def effect(_: Connection) -> RoundsAccepted:
        effects.append(1)
        return RoundsAccepted(run_id="small-1", round=len(effects), last_round=len(effects), status="running")

    request = Request("POST /x", "key", {"count": 1})
    first = replies.once(database, request, RoundsAccepted, effect)
    assert replies.once(database, request, RoundsAccepted, effect) == first
    assert replies.once(database, Request("POST /y", "key", {"count": 1}), RoundsAccepted, effect).round == 2
    assert replies.once(database, Request("POST /x", None), RoundsAccepted, effect).round == 3
    with pytest.raises(Conflict, match="was used for another body"):
        replies.once(database, Request("POST /x", "key", {"count": 2}), RoundsAccepted, effect)


def test_an_effect_that_fails_leaves_no_answer(database: Database) -> None:
    def effect(connection: Connection) -> RoundsAccepted:
        runs.change(connection, "small-1", requested_rounds=9)
        raise Conflict("No.")

    with pytest.raises(Conflict):
        replies.once(database, Request("POST /x", "key"), RoundsAccepted, effect)
    with database.reading() as connection:
        assert runs.get(connection, "small-1").requested_rounds == 1
        assert replies.find(connection, Request("POST /x", "key"), RoundsAccepted) is None
        assert runs.active(connection) == ["small-1"]
        with pytest.raises(NotFound):
            runs.get(connection, "small-2")


def test_a_run_that_another_sparring_stored_has_its_error_alone(database: Database) -> None:
    with database.writing() as connection:
        runs.add(connection, run(run_id="small-2", created_at=2000.0))
        connection.execute(text("UPDATE runs SET config = replace(config, '\"seed\"', '\"chance\"') WHERE run_id = 'small-2'"))
    with database.reading() as connection:
        assert runs.ids(connection) == ["small-2", "small-1"]
        assert runs.get(connection, "small-1") == run()
        with pytest.raises(runs.Unreadable) as raised:
            runs.snapshot(connection, "small-2")
    assert raised.value.run == UnreadableRun(
        run_id="small-2",
        name="small",
        control="active",
        requested_rounds=1,
        created_at=2000.0,
        error="The run small-2 cannot be read: config.chance: no such key; remove it or correct its name. "
        "Use the Sparring that made it, or cancel it.",
    )


def test_a_config_of_a_newer_sparring_is_not_guessed_at(database: Database) -> None:
    write(database, lambda c: runs.change(c, "small-1", config_version=2))
    with (
        database.reading() as connection,
        pytest.raises(runs.Unreadable, match="config is of version 2, and this Sparring knows those up to 1"),
    ):
        runs.get(connection, "small-1")


def test_a_stage_that_cannot_be_read_is_its_runs_error(database: Database) -> None:
    write(database, lambda c: c.execute(text("UPDATE stages SET stage = 'ponder'")))
    with database.reading() as connection, pytest.raises(runs.Unreadable, match="The run small-1 cannot be read: stage: "):
        runs.snapshot(connection, "small-1")


def test_an_answer_of_another_sparring_is_not_given_again(database: Database) -> None:
    request = Request("POST /x", "key")
    accepted = RoundsAccepted(run_id="small-1", round=1, last_round=1, status="running")
    replies.once(database, request, RoundsAccepted, lambda _: accepted)
    write(database, lambda c: c.execute(text("UPDATE replies SET answer = replace(answer, 'last_round', 'final_round')")))
    with pytest.raises(Conflict, match="was answered by another Sparring; choose a new key"):
        replies.once(database, request, RoundsAccepted, lambda _: accepted)


@pytest.mark.parametrize("database_kind", ["postgresql"])
def test_postgres_has_time_limits_that_the_url_may_change(database: Database, database_url: str) -> None:
    shows = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    with database.reading() as connection:
        assert [connection.scalar(text(f"SHOW {name}")) for name in shows] == ["1min", "30s", "1min"]
    changed = Database(f"{database_url}&options=-c%20lock_timeout%3D200")
    with changed.writing() as waiting, database.writing() as holding:
        runs.lock(holding, "small-1")
        with pytest.raises(DatabaseTrouble, match="lock timeout"):
            runs.lock(waiting, "small-1")
    changed.close()


def test_a_postgres_that_does_not_answer_is_not_waited_for_without_end() -> None:
    with create_server(("127.0.0.1", 0)) as silent:
        silent.listen()
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        database = Database(f"postgresql+psycopg://x@{address}/x?connect_timeout=2")
        with pytest.raises(DatabaseTrouble, match="timeout"):
            database.ping()
        database.close()


def test_a_database_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    for url in ("nonsense", "oracle-of-delphi://x/y", "sqlite+nothing:///x"):
        with pytest.raises(InvalidInput, match="SPARRING_DATABASE_URL"):
            Database(url)
