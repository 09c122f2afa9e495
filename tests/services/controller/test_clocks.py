"""Machines whose clocks differ: leases and waits go by the database's."""

import time
from dataclasses import replace
from typing import Any

import pytest
from playing import play, rows, start
from postgres import ON_BOTH

from sparring_controller.api.controller import Controller
from sparring_controller.rounds.clients import GeneratorClient
from sparring_controller.rounds.worker import Worker
from sparring_shared.wire.trainer import CheckpointRef


@ON_BOTH
def test_a_worker_whose_clock_is_ahead_takes_no_live_lease(
    controller: Controller, worker: Worker, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = start(controller, config, 1)
    play(worker, controller, run_id, until="generate")
    row = next(row for row in rows(controller, run_id) if row.stage == "generate")
    right = time.time
    tokens: list[int] = []

    class Interrupted(GeneratorClient):
        """While it works, a worker of another machine is told of the same stage."""

        def ensure(self, policy: CheckpointRef) -> None:
            with monkeypatch.context() as elsewhere:
                elsewhere.setattr(time, "time", lambda: right() + 3600)
                worker.run_stage(row.key)
            held = next(found for found in rows(controller, run_id) if found.key == row.key)
            tokens.append(held.token)
            super().ensure(policy)

    services = replace(controller.services, generator=Interrupted(controller.settings.generator_url))
    Worker(controller.settings, controller.database, controller.doorbell, services).run_stage(row.key)
    assert tokens == [1]
    after = next(found for found in rows(controller, run_id) if found.key == row.key)
    assert (after.state, after.token, after.lapses) == ("done", 1, 0)
