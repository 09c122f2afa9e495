"""Whose turn it is on a generator: literal rows in, whom to wait for out."""

from typing import Any

import pytest

from sparring_controller.rounds.turns import ahead
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
    ("turns", "stage", "use", "now", "before"),
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
def test_whose_turn_it_is(turns: list[Turn], stage: str, use: str, now: float, before: str | None) -> None:
    found = ahead(turns, stage, use, now, turn_seconds=100.0)
    assert (found and found.stage) == before
