"""Whose turn it is on a generator: literal rows in, whom to wait for out; and how that is kept."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from postgres import ON_BOTH
from rows import run

from sparring_controller.rounds.lease import Fenced
from sparring_controller.rounds.stages.turns import leave_turn, take_turn
from sparring_controller.rounds.stages.work import Work
from sparring_controller.rounds.turns import ahead
from sparring_controller.store import endings, runs, stages, turns
from sparring_controller.store.database import Database
from sparring_controller.store.schema import migrate
from sparring_controller.store.turns import Turn


def turn(stage: str, use: str, state: str, **values: Any) -> Turn:
    known = {
        "stage": stage,
        "run_id": f"run of {stage}",
        "use": use,
        "state": state,
        "asked": 0.0,
        "since": None,
        "until": 999.0,
    }
    return Turn.model_validate(known | values)


A1, A2 = turn("a1", "A", "has", since=50.0), turn("a2", "A", "has", since=50.0)
KEPT = turn("a0", "A", "keeps", since=50.0)
B, C = turn("b", "B", "waits", asked=70.0), turn("c", "C", "waits", asked=80.0)


@pytest.mark.parametrize(
    ("known", "stage", "use", "now", "before"),
    [
        ([], "b", "B", 100.0, None),
        ([A1], "b", "B", 100.0, "a1"),
        ([A1], "a2", "A", 100.0, None),
        ([KEPT], "a2", "A", 100.0, None),
        ([KEPT], "b", "B", 100.0, "a0"),
        ([A1, B, C], "a2", "A", 100.0, None),
        # Its time is up: nobody new is taken in, who has it goes on.
        ([A1, B, C], "a2", "A", 150.0, "b"),
        ([A1, A2, B, C], "a1", "A", 150.0, None),
        ([A1, B, C], "b", "B", 150.0, "a1"),
        ([KEPT, B, C], "a2", "A", 150.0, "b"),
        ([KEPT, B, C], "b", "B", 150.0, None),
        # Without others it lasts.
        ([A1], "a2", "A", 500.0, None),
        # The longest waiting is next, and brings those with it that want the same.
        ([B, C], "c", "C", 150.0, "b"),
        ([B, C], "b", "B", 150.0, None),
        ([B, C], "b2", "B", 150.0, None),
        ([B, C], "d", "D", 150.0, "b"),
    ],
)
def test_whose_turn_it_is(known: list[Turn], stage: str, use: str, now: float, before: str | None) -> None:
    found = ahead(known, stage, use, now, turn_seconds=100.0)
    assert (found and found.stage) == before


@ON_BOTH
def test_who_has_the_generator_and_who_waits_is_kept_in_the_database(database_url: str) -> None:
    database = Database(database_url)
    migrate(database)
    with database.writing() as connection:
        runs.add(connection, run())
        for shard, key in enumerate(("a1", "a2", "b")):
            stages.add(connection, key, "small-1", 1, "generate", shard)
        assert stages.claim(connection, "b", "worker", 30) is not None
        turns.lock(connection)
        for each in (A1, *(each.model_copy(update={"until": 4e9}) for each in (A2, B, C))):
            turns.write(connection, "http://g", each)
        # The lease of a1 has lapsed, and c is no stage that wants anything.
        assert [turn.stage for turn in turns.every(connection, "http://g")] == ["a2", "b"]
        assert turns.every(connection, "http://other") == []
        assert turns.wanted(connection, "small-1", 0, but="a1")
        assert not turns.wanted(connection, "small-1", 1, but="a1")
        # Who waits and has not looked for long is waited for by nobody.
        turns.write(connection, "http://g", B)
        assert [turn.stage for turn in turns.every(connection, "http://g")] == ["a2"]
        turns.hold_back(connection, "small-1", 1)
        assert stages.due(connection) == []
        turns.call_up(connection, "small-1", 1)
        assert [row.key for row in stages.due(connection)] == ["a1", "a2"]
        turns.renew(connection, "a2", 30)
        assert turns.every(connection, "http://g")[0].until < 4e9
        endings.add(connection, "job", "small-1", 5.0)
        endings.add(connection, "job", "small-1", 7.0)
        [asked] = endings.every(connection)
        endings.drop(connection, asked.model_copy(update={"until": 5.0}))
        assert [ending.until for ending in endings.every(connection)] == [7.0]
        endings.drop(connection, asked)
        assert endings.every(connection) == []
    database.close()


SETTINGS = SimpleNamespace(generator_url="http://g", turn_seconds=300.0, lease_seconds=30.0)


def claimed(database: Database, key: str, lease_seconds: float = 30) -> Work:
    with database.writing() as connection:
        row = stages.claim(connection, key, "worker", lease_seconds)
    assert row is not None
    return cast(Work, SimpleNamespace(row=row, settings=SETTINGS, database=database))


@ON_BOTH
def test_a_turn_is_of_the_worker_that_holds_the_stage_and_ends_with_the_last_of_its_run(database_url: str) -> None:
    database = Database(database_url)
    migrate(database)
    with database.writing() as connection:
        for name, shards in (("a", 2), ("b", 1)):
            runs.add(connection, run(run_id=name))
            for shard in range(shards):
                stages.add(connection, f"{name}{shard}", name, 1, "generate", shard)
    stalled = claimed(database, "a0", lease_seconds=-1)
    successor, other, rival = (claimed(database, key) for key in ("a0", "a1", "b0"))
    assert take_turn(successor, "A") is None
    for give_away in (lambda: leave_turn(stalled, 0), lambda: take_turn(stalled, "A")):
        with pytest.raises(Fenced):
            give_away()
    assert take_turn(rival, "B") is not None
    assert take_turn(other, "A") is None
    for done in (successor, other):
        assert take_turn(rival, "B") is not None
        leave_turn(done, 0)
        with database.writing() as connection:
            stages.commit(connection, done.row.key, done.row.token, {})
    assert take_turn(rival, "B") is None
    database.close()
