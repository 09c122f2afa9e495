"""A trainer that says no: because another job runs, which has an end, or for good."""

from typing import Any

from below import Below
from playing import play, rows, start

from sparring_controller.api.controller import Controller
from sparring_controller.rounds.worker import Worker
from sparring_controller.store.records import StageRow
from sparring_shared.errors import Conflict


def trained(worker: Worker, controller: Controller, config: dict[str, Any]) -> StageRow:
    """The `train` stage after one attempt."""
    run_id = start(controller, config, 1)
    play(worker, controller, run_id, until="train")
    key = next(row.key for row in rows(controller, run_id) if row.stage == "train")
    worker.run_stage(key)
    return next(row for row in rows(controller, run_id) if row.key == key)


def test_the_end_of_another_job_is_waited_for(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    below.busy = 1
    row = trained(worker, controller, config)
    assert (row.state, row.attempt, row.error) == ("waiting", 0, "The job other is running; wait for its end or DELETE it.")
    assert play(worker, controller, row.run_id).error is None


def test_an_id_that_stands_for_another_job_is_not_waited_for(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    said = "The job 1 was asked for with another body; choose another job id."
    below.refuses_jobs = Conflict(said)
    row = trained(worker, controller, config)
    assert (row.state, row.error) == (
        "failed",
        f"{said} The trainer knows this round's job with other settings; remove that job's folder there, then resume.",
    )


def test_a_generator_that_cannot_sleep_is_not_waited_for(controller: Controller, below: Below, config: dict[str, Any]) -> None:
    settings = controller.settings.model_copy(update={"gpu_shared": True})
    worker = Worker(settings, controller.database, controller.doorbell, controller.services)
    below.sleepless = True
    row = trained(worker, controller, config)
    assert (row.state, row.attempt, row.error) == (
        "failed",
        0,
        "This generator cannot sleep: that needs a CUDA GPU and vLLM's --enable-sleep-mode. With SPARRING_GPU_SHARED it has "
        "to; start it so, or unset that, then resume.",
    )
