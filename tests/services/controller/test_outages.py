"""Services that go away, come back and go away again: each outage is waited for by itself."""

from typing import Any

from below import Below
from playing import ONCE, hurry, play, rows, start

from sparring_controller.api.controller import Controller
from sparring_controller.rounds.worker import MAX_OUTAGES, Worker
from sparring_controller.store.records import StageRow
from sparring_shared.artifacts import read_records
from sparring_shared.errors import Unavailable
from sparring_shared.paths import RunPaths
from sparring_shared.records import Prompt


def one_at_a_time(controller: Controller, patience: float) -> Worker:
    settings = controller.settings.model_copy(update={"patience_seconds": patience, "sampling_concurrency": 1})
    return Worker(settings, controller.database, controller.doorbell, controller.services)


def sampled(worker: Worker, controller: Controller, run_id: str) -> StageRow:
    """The first shard's sampling, after one more attempt at it."""
    key = next(row.key for row in rows(controller, run_id) if row.stage == "generate")
    hurry(controller)
    worker.run_stage(key)
    return next(row for row in rows(controller, run_id) if row.key == key)


def begun(worker: Worker, controller: Controller, config: dict[str, Any]) -> tuple[str, list[str]]:
    """A run whose first shard is to be sampled, and that shard's prompts."""
    run_id = start(controller, config, 1)
    play(worker, controller, run_id, until="generate")
    path = RunPaths(controller.settings.runs_dir, run_id).shard(1, "prompts", 0)
    return run_id, [prompt.messages[0].content for prompt in read_records(path, Prompt)]


def test_two_outages_with_answers_in_between_are_two(controller: Controller, below: Below, config: dict[str, Any]) -> None:
    worker = one_at_a_time(controller, patience=1e-9)
    run_id, prompts = begun(worker, controller, config)
    away = Unavailable("It went away.")
    below.sampling_fails = {prompt: [away] * 9 for prompt in prompts}
    first = sampled(worker, controller, run_id)
    assert (first.state, first.waiting_since is None, first.outages) == ("waiting", False, 0)
    below.sampling_fails = {prompts[3]: [away]}
    second = sampled(worker, controller, run_id)
    assert (second.state, second.outages, second.error) == ("waiting", 1, "It went away.")
    assert play(worker, controller, run_id).error is None


def test_one_outage_ends_the_patience(controller: Controller, below: Below, config: dict[str, Any]) -> None:
    worker = one_at_a_time(controller, patience=1e-9)
    run_id, prompts = begun(worker, controller, config)
    below.sampling_fails = {prompt: [Unavailable("It went away.")] * 9 for prompt in prompts}
    assert [sampled(worker, controller, run_id).state for _ in range(2)] == ["waiting", "failed"]


def test_a_stage_that_ends_its_service_again_and_again_fails(
    controller: Controller, below: Below, config: dict[str, Any]
) -> None:
    worker = one_at_a_time(controller, patience=600)
    run_id, prompts = begun(worker, controller, config)
    with controller.database.writing() as connection:
        connection.exec_driver_sql(f"UPDATE stages SET outages = {MAX_OUTAGES} WHERE stage = 'generate'")
    below.sampling_fails = {prompts[3]: [Unavailable("It went away.")]}
    row = sampled(worker, controller, run_id)
    assert (row.state, row.error) == (
        "failed",
        "It went away. It went away in the middle of this stage 51 times; look into its log, then resume.",
    )
    controller.resume(ONCE, run_id)
    assert play(worker, controller, run_id).error is None
