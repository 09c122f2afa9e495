"""Playing a run in the test's own process, stage by stage."""

import time
from typing import Any

from sparring_controller.api.controller import Controller
from sparring_controller.rounds.worker import Worker
from sparring_controller.store import runs
from sparring_controller.store.records import StageRow
from sparring_controller.store.replies import Request
from sparring_shared.artifacts import read_records
from sparring_shared.paths import RunPaths
from sparring_shared.records import Pair
from sparring_shared.run_config import RunConfig
from sparring_shared.wire.controller import RunStatus

ONCE = Request("test", None)


def start(controller: Controller, config: dict[str, Any], rounds: int) -> str:
    run_id = controller.create(ONCE, RunConfig.model_validate(config)).run_id
    controller.play(ONCE, run_id, rounds)
    return run_id


def rows(controller: Controller, run_id: str) -> tuple[StageRow, ...]:
    with controller.database.reading() as connection:
        return runs.snapshot(connection, run_id).stages


def play(worker: Worker, controller: Controller, run_id: str, *, until: str = "") -> RunStatus:
    """Do whatever the database says is to do, as if every message came, until nothing is left (or a stage is reached)."""
    deadline = time.monotonic() + 60
    while controller.run(run_id).status == "running":
        assert time.monotonic() < deadline, controller.run(run_id).model_dump_json(indent=1)
        for row in rows(controller, run_id):
            if row.stage == until:
                return controller.run(run_id)
            worker.run_stage(row.key)
        hurry(controller)
    return controller.run(run_id)


def judged(controller: Controller, run_id: str) -> list[tuple[int, str, int, str]]:
    """What the judge's word came to, by place: digests of matrices and checkpoints, and of the pairs but for the prompt's token
    ids, which the stand-in's chat template makes anew each time."""
    places = RunPaths(controller.settings.runs_dir, run_id)
    found: list[tuple[int, str, int, str]] = []
    for row in rows(controller, run_id):
        result = row.result or {}
        if row.stage == "judge":
            digest = result["file"]["sha256"]
        elif row.stage == "train":
            digest = result["checkpoint"]["digest"]
        elif row.stage == "select":
            pairs = read_records(places.shard(row.round, "pairs", row.shard), Pair)
            digest = str([pair.model_dump(exclude={"prompt_token_ids"}) for pair in pairs])
        else:
            continue
        found.append((row.round, row.stage, row.shard, digest))
    return sorted(found)


def hurry(controller: Controller) -> None:
    """Let what waits be due at once."""
    with controller.database.writing() as connection:
        connection.exec_driver_sql("UPDATE stages SET not_before = 0 WHERE state = 'waiting'")
