"""Runs moved on in a real database: by what has just ended, by the reconciler, by two processes at once."""

import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rows import RESULTS, file, run

from sparring_controller.rounds import progress
from sparring_controller.rounds.doorbell import Doorbell
from sparring_controller.rounds.planner import plan
from sparring_controller.rounds.progress import advance
from sparring_controller.rounds.reconciler import reconcile
from sparring_controller.store import runs, stages
from sparring_controller.store.database import Database
from sparring_controller.store.records import RunSnapshot, StageRow
from sparring_controller.store.schema import migrate
from sparring_shared.errors import Unavailable
from sparring_shared.wire.controller import StageName

RUN = "small-1"
SHARDS = 5


class Bell(Doorbell):
    """Notes what it was told; while it is `deaf` it takes nothing."""

    def __init__(self) -> None:
        self.rung: list[str] = []
        self.deaf = False

    def ring(self, key: str, stage: StageName, countdown: float = 0.0) -> None:
        if self.deaf:
            raise Unavailable("Redis does not answer.")
        self.rung.append(key)

    def quiet(self, stage: StageName) -> bool:
        return True


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A run of two rounds that nobody has looked at yet."""
    made = Database(f"sqlite:///{tmp_path / 'sparring.db'}")
    migrate(made)
    with made.writing() as connection:
        runs.add(connection, run(requested_rounds=2))
    yield made
    made.close()


def rows(database: Database) -> tuple[StageRow, ...]:
    with database.reading() as connection:
        return stages.of_run(connection, RUN)


def finish(database: Database, key: str, result: dict[str, Any] | None = None) -> StageRow:
    """Have the stage done as a worker would; the row as the worker knew it."""
    with database.writing() as connection:
        row = stages.claim(connection, key, "worker", 30)
        assert row is not None
        whole = {"files": [file()] * SHARDS} if row.stage == "prompts" else RESULTS[row.stage]
        assert stages.commit(connection, key, row.token, result or whole)
    return row


def whole_plan(database: Database) -> list[Any]:
    with database.reading() as connection:
        return plan(RunSnapshot(run=runs.get(connection, RUN), stages=stages.of_run(connection, RUN)))


def is_settled(database: Database) -> bool:
    with database.reading() as connection:
        return runs.get(connection, RUN).settled


@pytest.mark.parametrize("seed", range(5))
def test_what_follows_from_each_stage_is_all_that_is_missing(database: Database, seed: int) -> None:
    order, bell = random.Random(seed), Bell()
    advance(database, bell, RUN)
    while open_rows := [row for row in rows(database) if row.state == "pending"]:
        ended = finish(database, order.choice(open_rows).key)
        advance(database, bell, RUN, ended)
        assert whole_plan(database) == []
    every = rows(database)
    assert len(every) == 1 + 2 * (3 + 3 * SHARDS)
    assert sorted(bell.rung) == sorted(row.key for row in every)
    assert is_settled(database)


def test_a_run_that_is_over_is_left_alone_until_somebody_asks_for_more(database: Database) -> None:
    bell = Bell()
    reconcile(database, bell, 10)
    while open_rows := [row for row in rows(database) if row.state == "pending"]:
        finish(database, open_rows[0].key)
        reconcile(database, bell, 10)
    with database.writing() as connection:
        assert runs.active(connection) == []
        runs.change(connection, RUN, requested_rounds=3, settled=False)
    reconcile(database, bell, 10)
    assert [(row.round, row.stage) for row in rows(database) if row.state == "pending"] == [(3, "prompts")]


def test_nothing_asked_for_is_nothing_to_do(database: Database) -> None:
    with database.writing() as connection:
        runs.change(connection, RUN, requested_rounds=0)
    reconcile(database, Bell(), 10)
    with database.reading() as connection:
        assert runs.active(connection) == []


def test_rounds_that_are_asked_for_while_the_last_one_ends_are_played(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    bell = Bell()
    advance(database, bell, RUN)
    last = finish(database, rows(database)[0].key)
    while (last.round, last.stage) != (2, "evaluate"):
        advance(database, bell, RUN, last)
        last = finish(database, next(row.key for row in rows(database) if row.state == "pending"))

    def asked_meanwhile(snapshot: RunSnapshot, after: StageRow | None) -> list[Any]:
        with database.writing() as connection:
            runs.change(connection, RUN, requested_rounds=3, settled=False)
        return plan(snapshot, after)

    monkeypatch.setattr(progress, "plan", asked_meanwhile)
    advance(database, bell, RUN, last)
    assert not is_settled(database)
    monkeypatch.undo()
    reconcile(database, bell, 10)
    assert [(row.round, row.stage) for row in rows(database) if row.state == "pending"] == [(3, "prompts")]


def test_nobody_waits_for_the_write_lock_who_has_nothing_to_write(database: Database) -> None:
    bell = Bell()
    advance(database, bell, RUN)
    done = threading.Event()

    def again() -> None:
        advance(database, bell, RUN)
        done.set()

    with database.writing():
        thread = threading.Thread(target=again)
        thread.start()
        assert done.wait(20)
    thread.join()


def test_two_processes_at_once_make_every_stage_once(database: Database) -> None:
    other, bells = Database(str(database.engine.url)), [Bell(), Bell()]
    advance(database, bells[0], RUN)
    bells[0].rung.clear()
    ended = [finish(database, row.key) for row in rows(database)]
    together = threading.Barrier(2)

    def move(mine: Database, bell: Bell) -> None:
        together.wait(20)
        for row in ended:
            advance(mine, bell, RUN, row)
        advance(mine, bell, RUN)

    threads = [threading.Thread(target=move, args=each) for each in zip((database, other), bells, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    made = [row.key for row in rows(database) if row.state == "pending"]
    assert len(made) == SHARDS
    assert sorted(bells[0].rung + bells[1].rung) == sorted(made)


def test_what_redis_was_not_told_it_is_told_later(database: Database) -> None:
    bell = Bell()
    bell.deaf = True
    advance(database, bell, RUN)
    assert {row.rung_at for row in rows(database)} == {None}
    bell.deaf = False
    reconcile(database, bell, 10)
    assert sorted(bell.rung) == sorted(row.key for row in rows(database))
    assert None not in {row.rung_at for row in rows(database)}


def test_a_stage_that_failed_fails_its_run(database: Database) -> None:
    advance(database, Bell(), RUN)
    with database.writing() as connection:
        row = stages.claim(connection, rows(database)[0].key, "worker", 30)
        assert row is not None
        stages.fail(connection, row.key, row.token, "The judge is dead.")
    advance(database, Bell(), RUN, row)
    with database.reading() as connection:
        failed = runs.get(connection, RUN)
    assert (failed.control, failed.error) == ("failed", "Round 0, evaluate: The judge is dead.")


def test_a_round_without_pairs_is_told_with_the_reasons_of_all_its_shards(database: Database) -> None:
    advance(database, Bell(), RUN)
    barren = {"file": file(rows=0), "dropped": {"tied": 2}}
    while open_rows := [row for row in rows(database) if (row.state, row.round) == ("pending", 1)]:
        ended = finish(database, open_rows[-1].key, barren if open_rows[-1].stage == "select" else None)
        advance(database, Bell(), RUN, ended)
    with database.reading() as connection:
        failed = runs.get(connection, RUN)
    assert (failed.error or "").startswith("Round 1 made no pair to train on (prompt too long: 5, tied: 10); ")
