"""Jobs through the real application and real subprocesses."""

import json
import os
import shutil
import signal
from pathlib import Path

import psutil
import pytest
import torch
from trainer_calls import ended, get, process_of, put, refused, uninterrupted, wait
from trainer_world import Service, World, save_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from sparring_shared.artifacts import damaged_files, weights_digest
from sparring_shared.probe import max_difference, read_probe
from sparring_shared.wire.trainer import CheckpointRef, JobRequest, JobStatus


def test_a_job_trains_publishes_and_is_idempotent(world: World, service: Service) -> None:
    client, request = service(), world.request()

    assert put(client, "a", request)[0] == 201
    code, running = put(client, "a", request)
    assert (code, running.state, running.checkpoint) == (200, "running", None)
    assert "another body" in refused(client, "a", world.request(seed=2), 409)
    assert refused(client, "b", world.request("2"), 409) == "The job a is running; wait for its end or DELETE it."
    done = wait(client, "a", ended)

    assert (done.state, done.error, done.step, done.total_steps, done.eta_seconds) == ("succeeded", None, 25, 25, 0)
    check_metrics(done.metrics, world)
    check_checkpoint(done, request, world)
    assert put(client, "a", request) == (200, done)
    assert put(service(), "a", request) == (200, done)
    assert "already holds something else" in refused(client, "c", request, 422)
    # Even a service that lost its folder knows the checkpoint that this job published.
    found = put(service(dir=world.root / "other-jobs"), "a", request)
    assert found == (201, done.model_copy(update={"step": 0, "total_steps": None, "eta_seconds": None}))


def check_metrics(metrics: dict[str, float], world: World) -> None:
    rows = [json.loads(line) for line in (world.root / "jobs" / "a" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 26))
    assert [row["pairs"] for row in rows[:5]] == [4, 4, 4, 4, 2]
    # eta 10, win rates 0.8 and 0.2: at the start every log-ratio is 0 and its target is 3 away.
    first = rows[0]
    assert first["loss"] == pytest.approx(9, rel=1e-4)
    assert first["loss_scaled"] == pytest.approx(0.09, rel=1e-4)
    assert first["target_gap"] == pytest.approx(3, rel=1e-4)
    assert abs(first["chosen_logratio"]) + abs(first["rejected_logratio"]) + abs(first["kl"]) < 1e-3
    # The schedule is laid out over 10 epochs, 50 steps, and warm-up is a tenth of it.
    assert [row["learning_rate"] for row in rows[:6]] == pytest.approx([0, 4e-5, 8e-5, 12e-5, 16e-5, 20e-5])
    assert rows[24]["learning_rate"] == pytest.approx(2e-4 * (50 - 24) / 45)
    assert metrics["sampler_gap"] < 1e-4
    assert metrics["chosen_logratio"] == pytest.approx(sum(row["pairs"] * row["chosen_logratio"] for row in rows[20:]) / 18)
    assert metrics["final_chosen_logratio"] > 0.05 > -0.05 > metrics["final_rejected_logratio"]


def check_checkpoint(done: JobStatus, request: JobRequest, world: World) -> None:
    assert done.checkpoint is not None
    folder = Path(request.output)
    assert done.checkpoint == CheckpointRef(version=1, digest=weights_digest(folder), path=request.output)
    assert done.checkpoint.digest != world.base.digest
    assert damaged_files(folder) == []
    assert (folder / "tokenizer.json").read_bytes() == (world.model / "tokenizer.json").read_bytes()
    assert AutoTokenizer.from_pretrained(folder).chat_template is not None
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.dtype == torch.float32
    assert json.loads((folder / "config.json").read_text())["use_cache"] is True
    probe = read_probe(folder)
    assert probe is not None
    ids = torch.tensor([probe.token_ids])
    logprobs = model(ids).logits[0, :-1].log_softmax(-1).gather(-1, ids[0, 1:, None]).squeeze(-1)
    assert max_difference(probe.logprobs, tuple(logprobs.tolist())) < 1e-4
    assert sorted(path.name for path in folder.parent.iterdir()) == ["1"]
    assert not (world.root / "jobs" / "a" / "checkpoints").exists()


def test_a_killed_job_fails_and_goes_on_to_the_same_weights(world: World, service: Service) -> None:
    client, request = service(), world.request("killed")
    put(client, "killed", request)
    wait(client, "killed", lambda status: status.step >= 5)
    os.kill(process_of(world, "killed"), signal.SIGKILL)

    failed = wait(client, "killed", ended)
    assert (failed.state, failed.error) == (
        "failed",
        "The training job was killed (signal 9); the machine may be out of memory. PUT it again to go on.",
    )
    before = (world.root / "jobs" / "killed" / "metrics.jsonl").read_text().splitlines()[:4]
    code, again = put(client, "killed", request)
    assert (code, again.state, again.error) == (200, "running", None)
    # A service that was killed too finds the job that it left behind.
    restarted, pid = service(), process_of(world, "killed")
    assert put(restarted, "killed", request)[0] == 200
    assert process_of(world, "killed") == pid
    assert "The job killed is running" in refused(restarted, "other", world.request("other"), 409)
    done = wait(restarted, "killed", ended)

    assert done.state == "succeeded", done.error
    rows = (world.root / "jobs" / "killed" / "metrics.jsonl").read_text().splitlines()
    assert rows[:4] == before, "the first steps were done once"
    assert len(rows) == 25
    assert weights_digest(Path(request.output)) == weights_digest(uninterrupted(world, restarted))


def test_delete_cancels_and_a_stopped_service_ends_its_job(world: World, service: Service) -> None:
    client, request = service(), world.request("cancelled")
    put(client, "cancelled", request)
    pid = process_of(world, "cancelled")

    cancelled = JobStatus.model_validate_json(client.delete("/v1/jobs/cancelled").content)

    assert (cancelled.state, cancelled.error) == ("cancelled", None)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    assert get(client, "cancelled") == cancelled
    assert put(client, "cancelled", request)[1].state == "running"
    client.__exit__(None, None, None)
    stopped = get(service(), "cancelled")
    assert stopped.state == "failed"
    assert stopped.error == "The trainer service was stopped while the job ran; PUT it again to go on."
    assert not Path(request.output).exists()


def test_inpo_with_a_reference_in_bf16(world: World, service: Service) -> None:
    reference = world.root / "models" / "reference"
    save_model(reference, 7)
    for path in world.model.glob("token*"):
        shutil.copy(path, reference)
    training = {**world.request().training.model_dump(), "precision": "bf16", "gradient_checkpointing": True}
    training |= {"train_epochs": 1, "schedule_epochs": 1, "optimizer": "adamw", "schedule": "cosine", "learning_rate": 1e-3}
    request = world.request(
        "inpo",
        reference=CheckpointRef(version=0, digest=weights_digest(reference), path=str(reference)),
        algorithm={"name": "inpo", "eta": 0.1, "tau": 0.05},
        training=training,
    )
    client = service()
    put(client, "inpo", request)

    done = wait(client, "inpo", ended)

    assert done.state == "succeeded", done.error
    assert done.metrics["loss_scaled"] == pytest.approx(done.metrics["loss"] * 0.01)
    assert done.metrics["final_chosen_logratio"] - done.metrics["final_rejected_logratio"] > 0.1
    assert not (world.root / "runs" / "checkpoints" / "inpo" / "checkpoints").exists()
    assert AutoModelForCausalLM.from_pretrained(request.output).dtype == torch.float32


def test_a_model_that_cannot_be_loaded_fails_the_job(world: World, service: Service) -> None:
    broken = world.root / "models" / "broken"
    shutil.copytree(world.model, broken)
    (broken / "model.safetensors").write_bytes(b"not safetensors")
    policy = CheckpointRef(version=0, digest=world.base.digest, path=str(broken))
    client = service()
    put(client, "broken", world.request("broken", policy=policy))

    failed = wait(client, "broken", ended)

    assert failed.state == "failed"
    assert failed.error is not None
    assert failed.error.startswith(f"{broken} holds the weights sha256:")
