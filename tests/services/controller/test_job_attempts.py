"""What the end of a training job is to its stage: an attempt, none, or the end of the run."""

from typing import Any

import pytest
from below import Below
from playing import ONCE, play, rows, start

from sparring_controller.api.controller import Controller
from sparring_controller.rounds.stages.job_starts import MAX_IDLE, Starts
from sparring_controller.rounds.worker import Worker
from sparring_controller.store.records import StageRow


def train_of(controller: Controller, run_id: str) -> StageRow:
    return next(row for row in rows(controller, run_id) if row.stage == "train")


def test_a_job_that_gets_further_each_time_may_be_killed_as_often_as_it_is(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    below.job_ends = [(step, "broken") for step in range(1, 8)]
    run_id = start(controller, config, 1)
    status = play(worker, controller, run_id)
    assert (status.status, status.error, len(below.starts)) == ("idle", None, 8)


def test_the_third_end_at_the_same_step_fails_the_run(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    below.job_ends = [(3, "broken"), (7, "broken"), (7, "broken"), (5, "broken")]
    run_id = start(controller, config, 1)
    status = play(worker, controller, run_id)
    assert (status.status, status.error) == ("failed", "Round 1, train: It ended at step 5: broken.")
    assert len(below.starts) == 4


def test_an_interruption_is_no_attempt(controller: Controller, worker: Worker, below: Below, config: dict[str, Any]) -> None:
    below.job_ends = [(4, "unavailable")] * 9
    run_id = start(controller, config, 1)
    status = play(worker, controller, run_id)
    assert (status.status, len(below.starts), train_of(controller, run_id).attempt) == ("idle", 10, 0)


def test_interruptions_without_a_step_end_some_time(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    below.job_ends = [(0, "unavailable")] * 99
    run_id = start(controller, config, 1)
    status = play(worker, controller, run_id)
    assert (status.status, status.error) == ("failed", "Round 1, train: It ended at step 0: unavailable.")
    assert len(below.starts) == MAX_IDLE + 2
    below.job_ends = []
    controller.resume(ONCE, run_id)
    assert play(worker, controller, run_id).status == "idle"


@pytest.mark.parametrize("kind", ["diverged", "invalid_input"])
def test_what_another_attempt_would_not_mend_is_not_tried_again(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any], kind: str
) -> None:
    below.job_ends = [(2, kind)]
    run_id = start(controller, config, 1)
    status = play(worker, controller, run_id)
    assert (status.status, status.error) == ("failed", f"Round 1, train: It ended at step 2: {kind}.")
    assert len(below.starts) == 1


def test_starts_count_from_the_furthest_step() -> None:
    assert Starts().again(None) == Starts(reached=0, idle=1)
    assert Starts(reached=3, idle=4).again(None) == Starts(reached=3, idle=5)
