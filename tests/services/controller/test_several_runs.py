"""Several runs share one generator: each has its turn, none evicts the policy of another, and all finish."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from below import Below, model_folder
from fastapi.testclient import TestClient
from playing import hurry, play, rows, start

from sparring_controller.api.app import create_app
from sparring_controller.api.controller import Controller
from sparring_controller.rounds.lease import Lease
from sparring_controller.rounds.progress import advance
from sparring_controller.rounds.worker import Worker
from sparring_controller.settings import read_settings
from sparring_controller.store import stages, turns
from sparring_controller.store.records import StageRow
from sparring_controller.store.turns import Turn

Poll = Callable[[Callable[[], Any], float], Any]


def of_another_base(config: dict[str, Any], folder: Path, name: str) -> dict[str, Any]:
    base = model_folder(folder / "models" / name, f"weights of {name}")
    return config | {"name": name, "policy": {"model": str(base)}}


def shards(controller: Controller, run_id: str) -> list[StageRow]:
    return [row for row in rows(controller, run_id) if row.stage == "generate"]


def ready_to_sample(worker: Worker, controller: Controller, config: dict[str, Any]) -> list[StageRow]:
    """The shards of a run's first round, with the base evaluated."""
    run_id = start(controller, config, 1)
    while not shards(controller, run_id) or controller.run(run_id).rounds[0].report is None:
        for row in rows(controller, run_id):
            if row.stage != "generate":
                worker.run_stage(row.key)
        hurry(controller)
    return shards(controller, run_id)


def who(controller: Controller) -> list[tuple[str, str]]:
    with controller.database.writing() as connection:
        return [(turn.run_id, turn.state) for turn in turns.every(connection, controller.settings.generator_url)]


def test_a_run_waits_for_its_turn_with_one_shard_for_all(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any], tmp_path: Path
) -> None:
    first = ready_to_sample(worker, controller, config)
    second = ready_to_sample(worker, controller, of_another_base(config, tmp_path, "other"))
    worker.run_stage(first[0].key)
    one, other = first[0].run_id, second[0].run_id
    assert who(controller) == [(one, "keeps")]
    for row in second:
        worker.run_stage(row.key)
    assert who(controller) == [(one, "keeps"), (other, "waits")]
    said = f"It is the turn of run {one} on the generator; this stage waits."
    assert [(row.state, row.error) for row in shards(controller, other)] == [("waiting", said), *[("pending", None)] * 2]
    advance(controller.database, controller.doorbell, other)
    assert [row.rung_at is None for row in shards(controller, other)[1:]] == [True] * 2  # they are not rung for while they wait
    for row in first[1:]:
        worker.run_stage(row.key)
    assert who(controller) == [(other, "waits")]  # nothing is left to sample: given up at once
    hurry(controller)
    worker.run_stage(second[0].key)
    assert who(controller) == [(other, "keeps")]
    for row in second[1:]:  # called up
        worker.run_stage(row.key)
    assert who(controller) == []
    assert {row.state for row in (*shards(controller, one), *shards(controller, other))} == {"done"}
    assert [play(worker, controller, run_id).error for run_id in (one, other)] == [None, None]


def test_who_holds_the_generator_and_dies_loses_it_with_its_lease(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any], tmp_path: Path
) -> None:
    first = ready_to_sample(worker, controller, config)
    second = ready_to_sample(worker, controller, of_another_base(config, tmp_path, "other"))
    url = controller.settings.generator_url
    dead = Turn(stage=first[0].key, run_id=first[0].run_id, use="dead", state="has", asked=0, since=0, until=4e9)
    with controller.database.writing() as connection:
        turns.write(connection, url, dead)
    worker.run_stage(second[0].key)
    assert shards(controller, second[0].run_id)[0].state == "waiting"
    with controller.database.writing() as connection:
        turns.write(connection, url, dead.model_copy(update={"until": 1.0}))
    hurry(controller)
    worker.run_stage(second[0].key)
    assert shards(controller, second[0].run_id)[0].state == "done"


def test_a_turn_is_renewed_with_the_lease_of_its_stage(
    controller: Controller, worker: Worker, config: dict[str, Any], eventually: Poll
) -> None:
    row = ready_to_sample(worker, controller, config)[0]
    url = controller.settings.generator_url
    mine = Turn(stage=row.key, run_id=row.run_id, use="A", state="has", asked=0, since=0, until=4e9)
    with controller.database.writing() as connection:
        held = stages.claim(connection, row.key, "a", 60)
        turns.write(connection, url, mine)
    assert held is not None

    def until() -> float:
        with controller.database.writing() as connection:
            return turns.every(connection, url)[0].until

    with Lease(controller.database, held, 0.3):
        eventually(lambda: until() < 4e9, 20)


def test_training_and_sampling_take_turns_on_one_gpu(
    controller: Controller, below: Below, config: dict[str, Any], tmp_path: Path
) -> None:
    settings = controller.settings.model_copy(update={"gpu_shared": True})
    worker = Worker(settings, controller.database, controller.doorbell, controller.services)
    below.looks_until_done = 1_000_000
    training = start(controller, config, 1)
    play(worker, controller, training, until="train")
    second = ready_to_sample(worker, controller, of_another_base(config, tmp_path, "other"))
    worker.run_stage(second[0].key)
    train = next(row for row in rows(controller, training) if row.stage == "train")
    worker.run_stage(train.key)
    assert below.starts == []
    found = next(row for row in rows(controller, training) if row.stage == "train")
    assert found.error == f"It is the turn of run {second[0].run_id} on the generator; this stage waits."
    for row in second[1:]:
        worker.run_stage(row.key)
    hurry(controller)
    worker.run_stage(train.key)
    assert len(below.starts) == 1
    assert who(controller) == [(training, "has")]
    below.looks_until_done = 1
    assert [play(worker, controller, run_id).error for run_id in (training, second[0].run_id)] == [None, None]


def test_three_runs_at_once_finish_and_evict_nobody(
    below: Below,
    config: dict[str, Any],
    settings: Any,
    tmp_path: Path,
    start_worker: Callable[[], Any],
    eventually: Poll,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SPARRING_TURN_SECONDS", "0.5")
    below.answer_seconds = 0.2
    with TestClient(create_app(read_settings())) as client:
        names = ("first", "second", "third")
        bodies = [of_another_base(config, tmp_path, name) for name in names]
        run_ids = [client.post("/v1/runs", json=body).json()["run_id"] for body in bodies]
        for run_id in run_ids:
            assert client.post(f"/v1/runs/{run_id}/rounds", json={"count": 2}).status_code == 202
        start_worker()
        start_worker()

        def ended() -> list[tuple[str, int, str | None]] | None:
            found = [client.get(f"/v1/runs/{run_id}").json() for run_id in run_ids]
            if any(status["status"] == "running" for status in found):
                return None
            return [(status["status"], status["completed_rounds"], status["error"]) for status in found]

        assert eventually(ended, 180) == [("done", 2, None)] * 3
    assert below.mismatches == 0
