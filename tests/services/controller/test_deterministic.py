"""What a deterministic run asks of the services, so that what is done again comes out the same."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from below import Below
from playing import ONCE, play, rows, start

from sparring_controller.api.controller import Controller
from sparring_controller.rounds.worker import Worker
from sparring_shared.errors import InvalidInput
from sparring_shared.run_config import RunConfig


@pytest.mark.parametrize("deterministic", [True, False])
def test_each_comparison_is_computed_alone(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any], deterministic: bool
) -> None:
    run_id = start(controller, config | {"deterministic": deterministic}, 1)
    assert play(worker, controller, run_id).status == "idle"
    assert below.alone == {deterministic}


@pytest.mark.parametrize(("deterministic", "at_once"), [(True, 32), (False, 4)])
def test_so_many_answers_are_asked_for_at_once_whatever_the_worker_is_set_to(
    controller: Controller,
    worker: Worker,
    below: Below,
    config: dict[str, Any],
    tmp_path: Path,
    eventually: Callable[[Callable[[], Any], float], Any],
    deterministic: bool,
    at_once: int,
) -> None:
    source = tmp_path / "more.jsonl"
    source.write_text("".join(json.dumps({"prompt": f"Question {i}?"}) + "\n" for i in range(80)))
    sampling = {"k": 2, "max_tokens": 8, "shard_size": 40}
    prompts = {"source": str(source), "heldout": 0.3, "per_round": 40}
    run_id = start(controller, config | {"deterministic": deterministic, "sampling": sampling, "prompts": prompts}, 1)
    play(worker, controller, run_id, until="generate")
    row = next(row for row in rows(controller, run_id) if row.stage == "generate")
    below.answers_may_go.clear()
    working = threading.Thread(target=worker.run_stage, args=(row.key,))
    working.start()
    eventually(lambda: below.inside == at_once, 20)
    time.sleep(0.2)  # for one too many, if there were one
    assert below.inside == at_once
    below.answers_may_go.set()
    working.join()


def test_a_judge_that_nobody_can_pin_is_refused(controller: Controller, below: Below, config: dict[str, Any]) -> None:
    below.pinned = False
    with pytest.raises(
        InvalidInput, match=r"The run is deterministic, but nobody knows whether the judge length .* answers alike"
    ):
        controller.create(ONCE, RunConfig.model_validate(config | {"deterministic": True}))
    with pytest.raises(ValueError, match="deterministic cannot be kept by a judge behind an endpoint"):
        RunConfig.model_validate(config | {"deterministic": True, "judge": {"engine": "openai", "model": "gpt"}})
