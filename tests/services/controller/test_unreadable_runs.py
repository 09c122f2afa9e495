"""A run whose records do not fit any more: its own error, and nobody else's."""

from typing import Any

from playing import ONCE, play, rows, start
from postgres import ON_BOTH

from sparring_controller.api.controller import Controller
from sparring_controller.rounds.doorbell import Doorbell
from sparring_controller.rounds.reconciler import reconcile
from sparring_controller.rounds.worker import Worker
from sparring_shared.wire.controller import StageName


@ON_BOTH
def test_one_unreadable_run_is_listed_with_its_error_and_the_others_go_on(
    controller: Controller, worker: Worker, config: dict[str, Any]
) -> None:
    broken, sound = (start(controller, config | {"name": name}, 1) for name in ("broken", "sound"))
    put = "UPDATE runs SET config = replace(config, '\"weight_decay\": 0.0', '\"weight_decay\": %s') WHERE run_id = '%s'"
    with controller.database.writing() as connection:
        connection.exec_driver_sql(put % ("null", broken))
    reconcile(controller.database, controller.doorbell, 0.0)
    sentence = (
        f"The run {broken} cannot be read: config.training.weight_decay: Input should be a valid number. "
        "Use the Sparring that made it, or cancel it."
    )
    listed = {run.run_id: run for run in controller.every_run().runs}
    assert (listed[broken].status, listed[broken].error, listed[broken].config) == ("failed", sentence, None)
    assert controller.run(broken) == listed[broken]
    assert play(worker, controller, sound).status == "idle"
    assert controller.cancel(ONCE, broken).status == "cancelled"


def test_an_unreadable_run_goes_on_once_it_can_be_read(controller: Controller, worker: Worker, config: dict[str, Any]) -> None:
    run_id = start(controller, config, 1)
    rename = "UPDATE runs SET config = replace(config, '\"%s\"', '\"%s\"')"
    with controller.database.writing() as connection:
        connection.exec_driver_sql(rename % ("shard_size", "key_of_tomorrow"))
    reconcile(controller.database, controller.doorbell, 0.0)
    with controller.database.writing() as connection:
        connection.exec_driver_sql(rename % ("key_of_tomorrow", "shard_size"))
    assert controller.run(run_id).status == "failed"
    controller.resume(ONCE, run_id)
    assert play(worker, controller, run_id).status == "idle"


def test_a_result_that_cannot_be_read_is_its_runs_error(controller: Controller, worker: Worker, config: dict[str, Any]) -> None:
    run_id = start(controller, config, 1)
    play(worker, controller, run_id, until="generate")
    with controller.database.writing() as connection:
        connection.exec_driver_sql("UPDATE stages SET result = '{}' WHERE stage = 'prompts'")
    reconcile(controller.database, controller.doorbell, 0.0)
    status = controller.run(run_id)
    assert (status.status, status.error) == (
        "failed",
        f"The run {run_id} cannot be read: files: is missing. Use the Sparring that made it, or cancel it.",
    )
    assert controller.every_run().runs[0].status == "failed"


@ON_BOTH
def test_a_fault_in_one_run_does_not_keep_the_others_from_going_on(controller: Controller, config: dict[str, Any]) -> None:
    faulty, sound = (start(controller, config | {"name": name}, 1) for name in ("faulty", "sound"))
    keys = {run_id: [row.key for row in rows(controller, run_id)] for run_id in (faulty, sound)}
    rung: list[str] = []

    class Faulty(Doorbell):
        def ring(self, key: str, stage: StageName, countdown: float = 0.0) -> None:
            if key in keys[faulty]:
                raise ZeroDivisionError
            rung.append(key)

    with controller.database.writing() as connection:
        connection.exec_driver_sql("UPDATE stages SET rung_at = NULL")
    reconcile(controller.database, Faulty(controller.settings.redis_url.get_secret_value()), 60.0)
    assert sorted(rung) == sorted(keys[sound])
