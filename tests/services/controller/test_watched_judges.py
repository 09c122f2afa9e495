"""A judge whose weights nobody knows is asked about the same pairs at the start of each round."""

from typing import Any

import pytest
from below import Below
from playing import ONCE, play, start

from sparring_controller.api.controller import Controller
from sparring_controller.rounds.worker import Worker


def drifts(controller: Controller, run_id: str) -> list[float | None]:
    """By round, the base first."""
    return [(played.report or {})["judges"]["drift"] for played in controller.run(run_id).rounds]


def test_a_pinned_judge_is_not_watched(controller: Controller, worker: Worker, below: Below, config: dict[str, Any]) -> None:
    run_id = start(controller, config, 2)
    assert play(worker, controller, run_id).status == "done"
    assert (below.fresh, drifts(controller, run_id)) == ([], [None, None, None])


@pytest.mark.parametrize(("selection", "algorithm"), [("best_worst", "sppo"), ("knockout", "inpo")])
def test_a_judge_that_stays_is_told_in_the_reports(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any], selection: str, algorithm: str
) -> None:
    below.pinned = False
    run_id = start(controller, config | {"selection": {"name": selection}, "algorithm": {"name": algorithm}}, 2)
    status = play(worker, controller, run_id)
    assert status.status == "done"
    assert drifts(controller, run_id) == [None, None, pytest.approx(0.0, abs=1e-12)]
    assert [(played.report or {})["judges"]["pinned"] for played in status.rounds] == [False] * 3
    (pairs,) = below.fresh
    assert 5 < pairs <= 10, "one of each prompt whose answers differ"


def test_a_judge_that_drifts_stops_the_run_until_it_is_restored(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    below.pinned = False
    run_id = start(controller, config, 2)
    play(worker, controller, run_id, until="train")
    below.shift = 0.06
    failed = play(worker, controller, run_id)
    assert failed.status == "failed"
    assert "of round 1 its probabilities differ by 0.060 in the mean, at most 0.05 is allowed (judge.max_drift)" in (
        failed.error or ""
    )
    below.shift = 0.0
    controller.resume(ONCE, run_id)
    assert play(worker, controller, run_id).status == "done"


def test_a_drift_that_is_accepted_is_the_new_measure(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    below.pinned = False
    run_id = start(controller, config | {"prompts": config["prompts"] | {"per_round": 6}, "rounds": 3}, 3)
    play(worker, controller, run_id, until="train")
    below.shift = 0.3
    assert play(worker, controller, run_id).status == "failed"
    status = controller.resume(ONCE, run_id, accept_judge=True)
    assert status.judges is not None
    assert [(note.round, note.before == note.after) for note in status.judges.accepted] == [(2, True)]
    below.shift = 0.0
    assert play(worker, controller, run_id).status == "done"
    assert drifts(controller, run_id) == [None, None, None, pytest.approx(0.0, abs=1e-12)]
