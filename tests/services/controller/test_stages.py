"""Whole rounds against the stand-in for the layer below: what lies in the files, and what happens when something is wrong."""

import json
from dataclasses import replace
from typing import Any

import pytest
from below import Below
from playing import ONCE, hurry, play, rows, start
from postgres import ON_BOTH

from sparring_controller.api.controller import Controller
from sparring_controller.rounds.clients import GeneratorClient, Services
from sparring_controller.rounds.endings import end_cancelled
from sparring_controller.rounds.worker import Worker
from sparring_controller.store import runs, stages
from sparring_shared.artifacts import read_records
from sparring_shared.paths import RunPaths
from sparring_shared.records import Answer, CandidateSet, Pair, PreferenceMatrix, Prompt
from sparring_shared.run_config import RunConfig, read_run_config
from sparring_shared.wire.trainer import CheckpointRef, JobStatus


def test_two_rounds_leave_every_file_and_a_report(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    run_id = start(controller, config, 2)
    status = play(worker, controller, run_id)
    assert (status.status, status.completed_rounds) == ("done", 2)
    places = RunPaths(controller.settings.runs_dir, run_id)
    assert read_run_config(places.config) == RunConfig.model_validate(config)

    played: list[str] = []
    for number in (1, 2):
        shards = [read_records(places.shard(number, "prompts", shard), Prompt) for shard in range(3)]
        assert [len(shard) for shard in shards] == [4, 4, 2]
        played += [prompt.prompt_id for shard in shards for prompt in shard]
        for shard in range(3):
            sets = read_records(places.shard(number, "candidates", shard), CandidateSet)
            assert {row.policy.version for row in sets} == {number - 1}
            assert {len(row.candidates) for row in sets} == {3}
            assert all(row.candidates[0].logprob == -0.5 * len(row.candidates[0].token_ids) for row in sets)
            matrices = read_records(places.shard(number, "preferences", shard), PreferenceMatrix)
            assert [matrix.prompt_id for matrix in matrices] == [row.prompt.prompt_id for row in sets]
            pairs = read_records(places.shard(number, "pairs", shard), Pair)
            assert all(len(pair.chosen[0].content) > len(pair.rejected[0].content) for pair in pairs)
    assert len(set(played)) == len(played) == 20

    assert [request.version for request in below.starts] == [1, 2]
    assert below.starts[1].policy.path == str(places.checkpoint(1))
    assert below.starts[0].reference is None
    heldout = [{answer.prompt.prompt_id for answer in _answers(places, number)} for number in (0, 1, 2)]
    assert heldout[0] == heldout[1] == heldout[2]
    assert not heldout[0] & set(played)

    base, first, second = (round_status.report or {} for round_status in status.rounds)
    assert base["win_rate_vs_base"] == {"value": 0.5, "low": 0.5, "high": 0.5}
    assert base["win_rate_vs_previous"] is None
    assert first["win_rate_vs_previous"] == first["win_rate_vs_base"]
    assert second["win_rate_vs_base"] == _won(_answers(places, 2), _answers(places, 0), second)
    assert second["win_rate_vs_previous"]["value"] == _won(_answers(places, 2), _answers(places, 1), None)["value"]
    assert (second["chosen_logratio"], second["rejected_logratio"]) == (1.5, -2.0)
    assert second["pairs"] + sum(second["dropped"].values()) == 10
    assert set(second["seconds"]) == {"prompts", "generate", "judge", "select", "train", "evaluate"}
    assert json.loads((places.evaluation(2) / "report.json").read_text()) == second
    assert json.loads((places.training(2) / "metrics.json").read_text())["loss"] == 0.25
    assert [path for path in places.root.rglob(".*") if path.is_file()] == list(places.staged.iterdir()) == []
    assert all((row.state, row.token >= 1, row.error) == ("done", True, None) for row in rows(controller, run_id))


def _answers(places: RunPaths, number: int) -> list[Answer]:
    return read_records(places.evaluation(number) / "answers.parquet", Answer)


def _won(ours: list[Answer], theirs: list[Answer], like: dict[str, Any] | None) -> dict[str, Any]:
    """The stand-in judge prefers the longer answer."""
    lengths = [(len(a.candidate.text), len(b.candidate.text)) for a, b in zip(ours, theirs, strict=True)]
    value = sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in lengths) / len(lengths)
    interval = like["win_rate_vs_base"] if like else {}
    return {**interval, "value": value}


def test_a_policy_that_another_run_replaced_is_loaded_again(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    run_id = start(controller, config, 1)
    below.steal_policy = 3
    status = play(worker, controller, run_id)
    assert status.status == "idle"
    assert below.loads.count(0) >= 2
    places = RunPaths(controller.settings.runs_dir, run_id)
    digests = {row.policy.digest for row in read_records(places.shard(1, "candidates", 0), CandidateSet)}
    with controller.database.reading() as connection:
        assert digests == {runs.get(connection, run_id).base.digest}


def test_no_sample_of_another_policy_is_ever_kept(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    run_id = start(controller, config, 1)
    below.claims_to_be = "sha256:another"
    status = play(worker, controller, run_id)
    assert (status.status, status.completed_rounds) == ("failed", 0)
    assert "The policy on the generator was replaced again and again" in (status.error or "")
    assert {row.stage for row in rows(controller, run_id) if row.state == "done"} == {"prompts"}


def test_prompts_that_cannot_be_used_are_counted_by_reason(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    run_id = start(controller, config, 1)
    play(worker, controller, run_id, until="generate")
    places = RunPaths(controller.settings.runs_dir, run_id)
    first = [prompt.messages[0].content for prompt in read_records(places.shard(1, "prompts", 0), Prompt)]
    below.too_long, below.unjudgeable, below.not_taken = {first[0]}, set(first[1:3]), {first[3]}
    report = play(worker, controller, run_id).rounds[1].report or {}
    assert report["dropped"]["prompt too long"] == 1
    assert report["dropped"]["prompt refused"] == 1
    assert report["dropped"]["judge: invalid_input"] == 2
    assert report["pairs"] + sum(report["dropped"].values()) == 10


def test_a_round_without_a_pair_fails_with_a_sentence(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    below.same_text = True
    status = play(worker, controller, start(controller, config, 1))
    assert (status.status, below.starts) == ("failed", [])
    assert status.error == (
        "Round 1 made no pair to train on (tied: 10); start a run with a higher sampling.temperature, "
        "a larger sampling.k or other prompts."
    )


def test_a_dead_judge_is_waited_for_and_costs_no_attempt(
    controller: Controller, worker: Worker, below: Below, below_url: str, config: dict[str, Any]
) -> None:
    run_id = start(controller, config, 1)
    play(worker, controller, run_id, until="judge")
    nowhere = controller.settings.model_copy(update={"judge_url": "http://127.0.0.1:9"})
    deaf = Worker(nowhere, controller.database, controller.doorbell, Services.at(nowhere))
    row = next(row for row in rows(controller, run_id) if row.stage == "judge")
    deaf.run_stage(row.key)
    after = next(found for found in rows(controller, run_id) if found.key == row.key)
    assert (after.state, after.attempt) == ("waiting", 0)
    assert after.error == "The judge at http://127.0.0.1:9 does not answer (ConnectError); is it running?"
    shown = controller.round(run_id, 1).stages[2]
    assert (shown.stage, shown.error) == ("judge", after.error)
    assert play(worker, controller, run_id).status == "idle"


def test_patience_ends_and_a_resume_goes_on_with_what_is_missing(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    run_id = start(controller, config, 1)
    play(worker, controller, run_id, until="judge")
    nowhere = controller.settings.model_copy(update={"judge_url": "http://127.0.0.1:9", "patience_seconds": 1e-9})
    deaf = Worker(nowhere, controller.database, controller.doorbell, Services.at(nowhere))
    failed = play(deaf, controller, run_id)
    assert failed.status == "failed"
    assert (failed.error or "").startswith("Round 1, judge: The judge at http://127.0.0.1:9 does not answer")
    done = {row.key for row in rows(controller, run_id) if row.state == "done"}
    tokens = {row.key: row.token for row in rows(controller, run_id)}

    accepted = controller.play(ONCE, run_id, 1)
    assert (accepted.round, accepted.last_round, accepted.status) == (1, 1, "running")
    status = play(worker, controller, run_id)
    assert (status.status, status.completed_rounds, status.error) == ("idle", 1, None)
    assert {row.key: row.token for row in rows(controller, run_id) if row.key in done} == {key: tokens[key] for key in done}


def test_a_training_job_that_failed_is_started_again(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    below.job_fails, below.busy, below.looks_until_done = 2, 1, 3
    run_id = start(controller, config, 1)
    assert play(worker, controller, run_id).status == "idle"
    assert len(below.starts) == 3
    assert next(row for row in rows(controller, run_id) if row.stage == "train").attempt == 2


@pytest.mark.parametrize("shared", [True, False])
def test_with_one_gpu_the_generator_sleeps_while_a_job_trains(
    controller: Controller, below: Below, config: dict[str, Any], shared: bool
) -> None:
    settings = controller.settings.model_copy(update={"gpu_shared": shared})
    worker = Worker(settings, controller.database, controller.doorbell, controller.services)
    below.looks_until_done = 2
    run_id = start(controller, config, 2)
    assert play(worker, controller, run_id).error is None
    assert below.slept == [shared, shared]
    assert ("POST /v1/policy/wake" in below.calls) == shared


def test_sampling_waits_while_the_job_of_another_run_has_the_gpu(
    controller: Controller, below: Below, config: dict[str, Any]
) -> None:
    settings = controller.settings.model_copy(update={"gpu_shared": True})
    worker = Worker(settings, controller.database, controller.doorbell, controller.services)
    below.jobs["other"] = JobStatus.model_validate(
        {"job_id": "other", "state": "running", "step": 1}
        | dict.fromkeys(("total_steps", "eta_seconds", "checkpoint", "error"))
        | {"metrics": {}}
    )
    run_id = start(controller, config, 1)
    for _ in range(3):
        for row in rows(controller, run_id):
            worker.run_stage(row.key)
        hurry(controller)
    assert "POST /v1/chat/completions" not in below.calls
    waiting = [row.error for row in rows(controller, run_id) if row.state == "waiting"]
    assert "The training job other has the GPU; sampling waits for its end." in waiting
    del below.jobs["other"]
    assert play(worker, controller, run_id).status == "idle"


def test_three_failures_fail_the_run_with_the_trainers_sentence(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    below.job_fails = 3
    run_id = start(controller, config, 1)
    status = play(worker, controller, run_id)
    assert (status.status, status.error) == ("failed", "Round 1, train: The training job was killed (signal 9).")
    controller.resume(ONCE, run_id)
    assert play(worker, controller, run_id).status == "idle"


@ON_BOTH
def test_a_cancelled_run_ends_its_job_and_fences_its_workers(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    below.looks_until_done = 1000
    run_id = start(controller, config, 1)
    play(worker, controller, run_id, until="train")
    train = next(row for row in rows(controller, run_id) if row.stage == "train")
    worker.run_stage(train.key)
    progress = controller.round(run_id, 1).stages[4]
    assert (progress.stage, progress.running, progress.done) == ("train", 1, 0)
    status = controller.cancel(ONCE, run_id)
    assert status.status == "cancelled"
    end_cancelled(controller.database, controller.services.trainer)
    assert [job.state for job in below.jobs.values()] == ["cancelled"]
    with controller.database.writing() as connection:
        assert not stages.commit(connection, train.key, train.token + 1, {})


@ON_BOTH
def test_a_fenced_worker_never_replaces_the_files_of_its_successor(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    run_id = start(controller, config, 1)
    play(worker, controller, run_id, until="generate")
    row = next(row for row in rows(controller, run_id) if row.stage == "generate")
    path = RunPaths(controller.settings.runs_dir, run_id).shard(1, "candidates", 0)
    written: list[bytes] = []

    class Overtaken(GeneratorClient):
        """While it works its lease lapses, and a successor does the whole stage."""

        def ensure(self, policy: CheckpointRef) -> None:
            with controller.database.writing() as connection:
                connection.exec_driver_sql("UPDATE stages SET lease_until = 0 WHERE state = 'running'")
            worker.run_stage(row.key)
            written.append(path.read_bytes())
            below.same_text = True
            super().ensure(policy)

    services = replace(controller.services, generator=Overtaken(controller.settings.generator_url))
    Worker(controller.settings, controller.database, controller.doorbell, services).run_stage(row.key)
    assert written == [path.read_bytes()]
    after = next(found for found in rows(controller, run_id) if found.key == row.key)
    assert (after.state, after.token, after.lapses) == ("done", 2, 1)
    assert list(RunPaths(controller.settings.runs_dir, run_id).staged.iterdir()) == []
