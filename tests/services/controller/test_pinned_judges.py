"""A run owns its judge: found when it is made, checked with every answer, exchanged on an explicit word alone."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from below import JUDGE, Below, Server, create_below
from fastapi.testclient import TestClient
from playing import ONCE, hurry, judged, play, rows, start

from sparring_controller.api.app import create_app
from sparring_controller.api.controller import Controller
from sparring_controller.rounds.clients import Services
from sparring_controller.rounds.stage_results import distinct
from sparring_controller.rounds.worker import Worker
from sparring_controller.settings import ControllerSettings, read_settings
from sparring_controller.store import runs
from sparring_controller.store.replies import Request
from sparring_shared.artifacts import read_records
from sparring_shared.errors import InvalidInput, Unavailable
from sparring_shared.paths import RunPaths
from sparring_shared.records import JudgeRef, PreferenceMatrix
from sparring_shared.run_config import RunConfig
from sparring_shared.wire.controller import ResumeRequest, RunJudges

ACCEPT = ResumeRequest(accept_judge=True)
OTHER = JudgeRef(name="brevity", revision="7", engine="fake")


def made(controller: Controller, config: dict[str, Any], **tables: Any) -> str:
    return controller.create(ONCE, RunConfig.model_validate(config | tables)).run_id


def test_a_run_takes_the_judge_that_answers_and_says_so(controller: Controller, config: dict[str, Any]) -> None:
    status = controller.create(ONCE, RunConfig.model_validate(config))
    assert status.judges is not None
    assert {name: judge.ref for name, judge in status.judges.pinned.items()} == {"default": JUDGE}
    places = RunPaths(controller.settings.runs_dir, status.run_id)
    assert RunJudges.model_validate_json(places.judges.read_bytes()) == status.judges


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        ({"model": "llm-blender/PairRM"}, "judge.model is llm-blender/PairRM, but the judge at"),
        ({"model": "length", "engine": "pair-lm"}, "judge.engine is pair-lm, but the judge at"),
        ({"model": "length", "revision": "2"}, "judge.revision is 2, but the judge at"),
        ({"service": "other"}, "judge.service: there is no judge other here (known: default); correct it or set"),
    ],
)
def test_a_run_whose_judge_is_not_the_one_that_answers_is_refused(
    settings: ControllerSettings, config: dict[str, Any], named: dict[str, Any], sentence: str
) -> None:
    with TestClient(create_app(settings)) as client:
        refused = client.post("/v1/runs", json=config | {"judge": named})
        assert refused.status_code == 422
        assert sentence in refused.json()["error"]["message"]
        assert client.get("/v1/runs").json() == {"runs": []}
        assert client.post("/v1/runs", json=config | {"judge": {"model": "models/length", "engine": "fake"}}).is_success


def test_a_run_without_a_judge_that_answers_is_not_made(settings: ControllerSettings, config: dict[str, Any]) -> None:
    nowhere = settings.model_copy(update={"judge_url": "http://127.0.0.1:9"})
    with TestClient(create_app(nowhere)) as client:
        refused = client.post("/v1/runs", json=config)
    assert refused.status_code == 503
    assert refused.json()["error"]["message"] == (
        "The judge at http://127.0.0.1:9 does not answer (ConnectError); is it running?"
    )


def test_more_candidates_than_the_judge_takes_are_refused(controller: Controller, below: Below, config: dict[str, Any]) -> None:
    below.max_candidates = 2
    with pytest.raises(InvalidInput, match=r"^sampling\.k is 3, but the judge at .* takes 2 candidates at most; lower it"):
        made(controller, config)


def test_a_judge_that_changes_stops_the_run_and_put_back_lets_it_finish(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    undisturbed = start(controller, config, 2)
    play(worker, controller, undisturbed)
    run_id = start(controller, config, 2)
    play(worker, controller, run_id, until="train")
    below.judge = OTHER
    failed = play(worker, controller, run_id)
    assert failed.status == "failed"
    assert failed.error is not None
    assert f"is {OTHER}, but the run is pinned to {JUDGE}; start that one again and resume" in failed.error
    assert "sparring resume --accept-judge" in failed.error
    below.judge = JUDGE
    controller.resume(ONCE, run_id)
    assert play(worker, controller, run_id).status == "done"
    assert judged(controller, run_id) == judged(controller, undisturbed)


@pytest.mark.parametrize("selection", ["best_worst", "knockout"])
@pytest.mark.parametrize("stage", ["judge", "evaluate"])
def test_no_stage_takes_the_word_of_another_judge(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any], selection: str, stage: str
) -> None:
    run_id = start(controller, config | {"selection": {"name": selection}, "algorithm": {"name": "inpo"}}, 1)
    play(worker, controller, run_id, until=stage if stage == "judge" else "train")
    if stage == "evaluate":
        while controller.round(run_id, 1).stages[4].done == 0:
            for row in rows(controller, run_id):
                if row.stage != "evaluate":
                    worker.run_stage(row.key)
            hurry(controller)
    below.judge = OTHER
    failed = play(worker, controller, run_id)
    assert (failed.error or "").startswith(f"Round 1, {stage}")
    assert [row.state for row in rows(controller, run_id) if (row.stage, row.round, row.state) == (stage, 1, "done")] == []


def test_another_judge_is_accepted_on_a_word_that_is_recorded(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    run_id = start(controller, config, 2)
    play(worker, controller, run_id, until="judge")
    below.judge = OTHER
    assert play(worker, controller, run_id).status == "failed"
    status = controller.resume(ONCE, run_id, ACCEPT)
    assert status.judges is not None
    (note,) = status.judges.accepted
    assert (note.service, note.before, note.after, note.at[:2]) == ("default", JUDGE, OTHER, "20")
    done = play(worker, controller, run_id)
    assert (done.status, done.judges) == ("done", status.judges)
    report = (done.rounds[2].report or {})["judges"]
    assert report["training"] == [OTHER.model_dump()]
    assert (report["evaluation"], report["pinned"], report["estimator"]) == (OTHER.model_dump(), True, "pairwise")
    assert report["accepted"] == [note.model_dump()]
    assert [request.judges for request in below.starts] == [(OTHER,), (OTHER,)]
    assert below.starts[0].estimator == "pairwise"
    places = RunPaths(controller.settings.runs_dir, run_id)
    assert RunJudges.model_validate_json(places.judges.read_bytes()) == status.judges


def test_over_http_the_word_is_part_of_the_request(settings: ControllerSettings, config: dict[str, Any], below: Below) -> None:
    with TestClient(create_app(settings)) as client:
        run_id = client.post("/v1/runs", json=config).json()["run_id"]
        below.judge = OTHER
        path, headers = f"/v1/runs/{run_id}/resume", {"Idempotency-Key": "a"}
        plain = client.post(path, headers=headers).json()
        assert plain["judges"]["pinned"]["default"]["ref"] == JUDGE.model_dump()
        assert client.post(path, headers=headers, json={"accept_judge": True}).status_code == 409
        taken = client.post(path, json={"accept_judge": True}).json()
        assert taken["judges"]["pinned"]["default"]["ref"] == OTHER.model_dump()


def test_a_run_of_an_older_version_goes_on_unpinned_until_a_judge_is_accepted(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    run_id = start(controller, config, 1)
    with controller.database.writing() as connection:
        runs.change(connection, run_id, judge=None)
    play(worker, controller, run_id, until="train")
    below.judge = OTHER
    done = play(worker, controller, run_id)
    assert (done.status, done.judges) == ("idle", None)
    report = (done.rounds[1].report or {})["judges"]
    assert (report["training"], report["evaluation"], report["pinned"]) == ([JUDGE.model_dump()], None, False)
    status = controller.resume(ONCE, run_id, ACCEPT)
    assert status.judges is not None and status.judges.accepted[0].before is None


@pytest.fixture
def examiner() -> Iterator[tuple[Below, str]]:
    """A second judge, with its address."""
    other = Below()
    other.judge = OTHER
    server = Server(create_below(other))
    yield other, server.url
    server.stop()


def test_a_run_is_evaluated_by_a_judge_that_it_was_not_trained_on(
    controller: Controller, below: Below, config: dict[str, Any], examiner: tuple[Below, str]
) -> None:
    other, url = examiner
    settings = controller.settings.model_copy(update={"judge_urls": f"examiner={url}"})
    two = replace(controller, settings=settings, services=Services.at(settings))
    worker = Worker(settings, two.database, two.doorbell, two.services)
    evaluated = config | {"evaluation": {"prompts": 6, "judge": "examiner"}}
    run_id = start(two, evaluated, 1)
    done = play(worker, two, run_id)
    report = (done.rounds[1].report or {})["judges"]
    assert (report["training"], report["evaluation"]) == ([JUDGE.model_dump()], OTHER.model_dump())
    assert below.calls.count("POST /v1/rank") == sum(row.stage == "judge" for row in rows(two, run_id))
    assert other.calls.count("POST /v1/rank") == 1
    other.judge = JUDGE
    controller_status = start(two, evaluated, 1)
    other.judge = OTHER
    assert "Round 1, evaluate" in (play(worker, two, controller_status).error or "")
    with pytest.raises(InvalidInput, match=r"^evaluation\.judge: there is no judge examiner here \(known: default\)"):
        made(controller, evaluated)
    two.services.close()


def test_the_judges_of_the_settings(settings: ControllerSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARRING_JUDGE_URLS", "other=http://b:1, default=http://c:2")
    assert read_settings().judges == {"default": "http://c:2", "other": "http://b:1"}
    monkeypatch.setenv("SPARRING_JUDGE_URLS", "")
    assert read_settings().judges == {"default": settings.judge_url}
    monkeypatch.setenv("SPARRING_JUDGE_URLS", "http://b:1")
    with pytest.raises(InvalidInput, match=r"^SPARRING_JUDGE_URLS: give name=url, several with commas between them"):
        read_settings()


def test_preferences_name_their_judge(controller: Controller, worker: Worker, config: dict[str, Any]) -> None:
    run_id = start(controller, config, 1)
    play(worker, controller, run_id)
    matrices = read_records(RunPaths(controller.settings.runs_dir, run_id).shard(1, "preferences", 0), PreferenceMatrix)
    assert distinct(matrix.judge for matrix in matrices) == (JUDGE,)


def test_what_was_accepted_is_answered_again_when_the_judge_is_down(controller: Controller, config: dict[str, Any]) -> None:
    run_id, request = made(controller, config), Request("resume", "a", {"accept_judge": True})
    taken = controller.resume(request, run_id, ACCEPT)
    nowhere = controller.settings.model_copy(update={"judge_url": "http://127.0.0.1:9"})
    assert replace(controller, services=Services.at(nowhere)).resume(request, run_id, ACCEPT) == taken


def test_a_judge_that_is_down_cannot_be_accepted(controller: Controller, config: dict[str, Any]) -> None:
    run_id = made(controller, config)
    nowhere = controller.settings.model_copy(update={"judge_url": "http://127.0.0.1:9"})
    deaf = replace(controller, services=Services.at(nowhere))
    with pytest.raises(Unavailable):
        deaf.resume(ONCE, run_id, ACCEPT)
