"""A judge whose weights nobody knows is asked about the same pairs at the start of each round."""

from typing import Any

import pytest
from below import Below
from playing import ONCE, play, rows, start

from sparring_controller.api.controller import Controller
from sparring_controller.rounds.worker import Worker
from sparring_shared.artifacts import read_records
from sparring_shared.paths import RunPaths
from sparring_shared.records import Prompt
from sparring_shared.run_config import read_run_config
from sparring_shared.wire.controller import ResumeRequest


def drifts(controller: Controller, run_id: str) -> list[float | None]:
    """By round, the base first."""
    return [(played.report or {})["judges"]["drift"] for played in controller.run(run_id).rounds]


def spent(controller: Controller, run_id: str) -> tuple[int, int]:
    """Requests and tokens by the results of the stages."""
    found = [(row.result or {})["spent"] for row in rows(controller, run_id) if row.stage in ("judge", "evaluate")]
    return sum(each["requests"] for each in found), sum(each["tokens"] for each in found)


def test_a_pinned_judge_is_not_watched(controller: Controller, worker: Worker, below: Below, config: dict[str, Any]) -> None:
    run_id = start(controller, config, 2)
    assert play(worker, controller, run_id).status == "done"
    assert (below.fresh, drifts(controller, run_id)) == ([], [None, None, None])


@pytest.mark.parametrize(("selection", "algorithm"), [("best_worst", "sppo"), ("knockout", "inpo")])
def test_a_judge_that_stays_is_told_in_the_reports(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any], selection: str, algorithm: str
) -> None:
    below.pinned = False
    run_id = start(controller, config | {"selection": {"name": selection}, "algorithm": {"name": algorithm}}, 2)
    status = play(worker, controller, run_id)
    assert status.status == "done"
    assert drifts(controller, run_id) == [None, None, pytest.approx(0.0, abs=1e-12)]
    assert [(played.report or {})["judges"]["pinned"] for played in status.rounds] == [False] * 3
    assert 5 < sum(below.fresh) <= 10, "one of each prompt whose answers differ"
    assert max(below.fresh) == 4, "in parts that a slow judge can answer"


def test_a_judge_that_drifts_stops_the_run_until_it_is_restored(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    below.pinned = False
    run_id = start(controller, config, 2)
    play(worker, controller, run_id, until="train")
    below.shift = 0.06
    failed = play(worker, controller, run_id)
    assert failed.status == "failed"
    assert "of round 1 its probabilities differ by 0.060 in the mean, at most 0.05 is allowed (judge.max_drift)" in (
        failed.error or ""
    )
    below.shift = 0.0
    controller.resume(ONCE, run_id)
    assert play(worker, controller, run_id).status == "done"


def test_an_endpoint_that_is_down_when_a_round_begins_is_waited_for(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    below.pinned = False
    run_id = start(controller, config, 2)
    play(worker, controller, run_id, until="train")
    places = RunPaths(controller.settings.runs_dir, run_id)
    prompts = read_records(places.shard(1, "prompts", 0), Prompt)
    below.ill = {prompt.messages[0].content: ["unavailable"] * 5 for prompt in prompts}
    assert play(worker, controller, run_id).status == "done"
    assert drifts(controller, run_id)[2] == pytest.approx(0.0, abs=1e-12)
    (asked_again,) = (
        (row.result or {})["spent"] for row in rows(controller, run_id) if (row.stage, row.round) == ("prompts", 2)
    )
    assert asked_again["requests"] > 2 * len(prompts)


def test_pairs_that_are_damaged_after_they_were_trained_on_are_left_out_of_the_watch(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    below.pinned = False
    run_id = start(controller, config, 2)
    play(worker, controller, run_id, until="train")
    places = RunPaths(controller.settings.runs_dir, run_id)
    places.shard(1, "preferences", 0).write_bytes(b"PAR1")
    places.shard(1, "candidates", 1).unlink()
    assert play(worker, controller, run_id).status == "done"
    assert drifts(controller, run_id)[2] == pytest.approx(0.0, abs=1e-12)
    assert 0 < sum(below.fresh) <= len(read_records(places.shard(1, "prompts", 2), Prompt)) == 2


def test_a_drift_that_is_accepted_is_the_new_measure(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    below.pinned = False
    run_id = start(controller, config | {"prompts": config["prompts"] | {"per_round": 6}, "rounds": 3}, 3)
    play(worker, controller, run_id, until="train")
    below.shift = 0.3
    assert play(worker, controller, run_id).status == "failed"
    status = controller.resume(ONCE, run_id, ResumeRequest(accept_judge=True))
    assert status.judges is not None
    assert [(note.round, note.before == note.after) for note in status.judges.accepted] == [(2, True)]
    below.shift = 0.0
    assert play(worker, controller, run_id).status == "done"
    assert drifts(controller, run_id) == [None, None, None, pytest.approx(0.0, abs=1e-12)]


@pytest.mark.parametrize(("key", "bound", "said"), [("max_requests", 20, "asked"), ("max_tokens", 40, "read")])
def test_a_bill_that_is_reached_stops_the_run_until_it_is_raised(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any], key: str, bound: int, said: str
) -> None:
    run_id = start(controller, config | {"judge": {key: bound}}, 1)
    failed = play(worker, controller, run_id)
    assert failed.status == "failed"
    assert f"judge.{key} is {bound} and the judges of the run have {said}" in (failed.error or "")
    assert (failed.error or "").endswith(f"raise it with `sparring resume --{key.replace('_', '-')}`.")
    assert below.requests <= 20 if key == "max_requests" else below.requests >= 10
    raised = controller.resume(ONCE, run_id, ResumeRequest.model_validate({key: 10_000}))
    assert raised.known_config.judge.model_dump()[key] == 10_000
    assert play(worker, controller, run_id).status == "idle"
    stored = read_run_config(RunPaths(controller.settings.runs_dir, run_id).config)
    assert stored == raised.config


def test_what_is_computed_is_counted(controller: Controller, worker: Worker, below: Below, config: dict[str, Any]) -> None:
    run_id = start(controller, config, 1)
    play(worker, controller, run_id)
    assert spent(controller, run_id) == (below.requests, 4 * below.requests)
    assert below.requests > 20


def test_what_an_attempt_computed_that_was_interrupted_is_counted(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    undisturbed = start(controller, config, 1)
    play(worker, controller, undisturbed)
    run_id = start(controller, config, 1)
    play(worker, controller, run_id, until="judge")
    (first, *_) = read_records(RunPaths(controller.settings.runs_dir, run_id).shard(1, "prompts", 0), Prompt)
    below.ill = {first.messages[0].content: ["unavailable", "broken"]}
    play(worker, controller, run_id)
    assert spent(controller, run_id) == spent(controller, undisturbed)
