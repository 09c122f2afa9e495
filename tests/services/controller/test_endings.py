"""A cancelled run leaves no training job running, whoever was doing what when it was cancelled, and whoever was away."""

from dataclasses import replace
from typing import Any

import pytest
from below import Below
from playing import ONCE, play, rows, start

from sparring_controller.api.controller import Controller
from sparring_controller.rounds.clients import TrainerClient
from sparring_controller.rounds.endings import end_cancelled
from sparring_controller.rounds.worker import Worker
from sparring_controller.store import endings, runs
from sparring_controller.store.records import StageRow
from sparring_shared.errors import Unavailable
from sparring_shared.wire.trainer import JobRequest, JobStatus


def training(worker: Worker, controller: Controller, below: Below, config: dict[str, Any]) -> StageRow:
    """The `train` stage of a run whose job never ends by itself, before it is claimed."""
    below.looks_until_done = 1_000_000
    run_id = start(controller, config, 1)
    play(worker, controller, run_id, until="train")
    return next(row for row in rows(controller, run_id) if row.stage == "train")


def states(below: Below) -> list[str]:
    return [job.state for job in below.jobs.values()]


def left(controller: Controller) -> int:
    """How many jobs are still to be ended, after one more round of the reconciler."""
    end_cancelled(controller.database, controller.services.trainer)
    with controller.database.reading() as connection:
        return len(endings.every(connection))


@pytest.mark.parametrize("control", ["active", "paused", "failed"])
def test_whatever_the_run_was_doing_its_job_is_ended(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any], control: str
) -> None:
    row = training(worker, controller, below, config)
    worker.run_stage(row.key)
    assert states(below) == ["running"]
    with controller.database.writing() as connection:
        runs.change(connection, row.run_id, control=control)
        if control == "failed":
            connection.exec_driver_sql("UPDATE stages SET state = 'failed' WHERE stage = 'train'")
    controller.cancel(ONCE, row.run_id)
    left(controller)
    assert states(below) == ["cancelled"]


def test_a_trainer_that_is_away_is_asked_again(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    row = training(worker, controller, below, config)
    worker.run_stage(row.key)
    controller.cancel(ONCE, row.run_id)
    end_cancelled(controller.database, TrainerClient("http://127.0.0.1:9"))
    assert states(below) == ["running"]
    assert left(controller) == 1  # a worker that had begun might still start it
    assert states(below) == ["cancelled"]
    with controller.database.writing() as connection:
        connection.exec_driver_sql("UPDATE endings SET until = 0")
    assert left(controller) == 0


def test_a_run_that_never_trained_has_nothing_to_end(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    row = training(worker, controller, below, config)
    controller.cancel(ONCE, row.run_id)
    assert left(controller) == 0
    assert not any(call.startswith("DELETE") for call in below.calls)


class LateTrainer(TrainerClient):
    """While its worker is about to start a job, the run is cancelled and all that was to be ended is ended."""

    controller: Controller
    run_id: str
    answers: bool

    def start(self, job_id: str, request: JobRequest) -> JobStatus:
        self.controller.cancel(ONCE, self.run_id)
        with self.controller.database.writing() as connection:
            connection.exec_driver_sql("UPDATE endings SET until = 0")
        assert left(self.controller) == 0
        status = super().start(job_id, request)
        if not self.answers:
            raise Unavailable("The answer was lost.")
        return status


@pytest.mark.parametrize("answers", [True, False])
def test_a_job_that_a_late_worker_starts_all_the_same_is_ended(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any], answers: bool
) -> None:
    row = training(worker, controller, below, config)
    trainer = LateTrainer(controller.settings.trainer_url)
    trainer.controller, trainer.run_id, trainer.answers = controller, row.run_id, answers
    services = replace(controller.services, trainer=trainer)
    Worker(controller.settings, controller.database, controller.doorbell, services).run_stage(row.key)
    assert states(below) == ["running"]
    assert left(controller) == 0
    assert states(below) == ["cancelled"]
