"""A run and real judges in processes of their own; generator and trainer are the stand-ins."""

from pathlib import Path
from typing import Any

import pytest
from playing import ONCE, judged, play, rows, start
from ports import free_port
from processes import service

from sparring_controller.api.controller import Controller
from sparring_controller.rounds.clients import Services
from sparring_controller.rounds.doorbell import Doorbell
from sparring_controller.rounds.worker import Worker
from sparring_controller.settings import ControllerSettings
from sparring_controller.store.database import Database
from sparring_controller.store.schema import migrate
from sparring_shared.artifacts import weights_digest
from sparring_shared.errors import InvalidInput
from sparring_shared.run_config import RunConfig

JUDGE = Path(__file__).resolve().parents[3] / "models" / "demo-judge"
OURS = {"SPARRING_JUDGE_MODEL": str(JUDGE), "SPARRING_JUDGE_DEVICE": "cpu"}
# The same weights, but it reads less of each answer.
SHORT_SIGHTED = OURS | {"SPARRING_JUDGE_CANDIDATE_MAX_TOKENS": "6"}


def test_a_judge_exchanged_between_rounds_stops_the_run_and_put_back_lets_it_finish(
    settings: ControllerSettings, config: dict[str, Any]
) -> None:
    port = str(free_port())
    settings = settings.model_copy(update={"judge_url": f"http://127.0.0.1:{port}"})
    database = Database(settings.database)
    migrate(database)
    controller = Controller(settings, database, Doorbell(settings.redis_url.get_secret_value()), Services.at(settings))
    worker = Worker(settings, database, controller.doorbell, controller.services)
    try:
        with service("judge", SPARRING_JUDGE_PORT=port, **OURS):
            named = config | {"judge": {"model": "llm-blender/PairRM"}}
            with pytest.raises(InvalidInput) as refused:
                controller.create(ONCE, RunConfig.model_validate(named))
            undisturbed = start(controller, config, 2)
            assert play(worker, controller, undisturbed).status == "done"
            run_id = start(controller, config, 1)
            status = play(worker, controller, run_id)
            assert (status.status, status.completed_rounds) == ("idle", 1)
        assert status.judges is not None
        ours = status.judges.pinned["default"]
        assert (ours.ref.engine, ours.ref.revision.split("+")[0]) == ("pairrm", weights_digest(JUDGE))
        assert refused.value.message == (
            f"judge.model is llm-blender/PairRM, but the judge at {settings.judge_url} is {ours.ref}; start the one that the "
            "run names, or name the one that answers."
        )
        controller.play(ONCE, run_id, 1)
        with service("judge", SPARRING_JUDGE_PORT=port, **SHORT_SIGHTED):
            failed = play(worker, controller, run_id)
        assert (failed.status, failed.completed_rounds) == ("failed", 1)
        assert failed.error is not None
        assert f"but the run is pinned to {ours.ref}; start that one again and resume the run" in failed.error
        done_before = {row.key: row.token for row in rows(controller, run_id) if row.state == "done"}
        with service("judge", SPARRING_JUDGE_PORT=port, **OURS):
            controller.resume(ONCE, run_id)
            assert play(worker, controller, run_id).status == "done"
        assert judged(controller, run_id) == judged(controller, undisturbed)
        assert {row.key: row.token for row in rows(controller, run_id) if row.key in done_before} == done_before
    finally:
        controller.close()
