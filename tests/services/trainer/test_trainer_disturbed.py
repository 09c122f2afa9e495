"""Jobs that are killed, stopped or run out of disk: all end with the weights of one that nothing disturbs.

`SPARRING_KILLS` says how often the first is killed; `make nightly` asks for 10.
"""

import os
import random
import resource
import signal
import sys
import time
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from skips import Skip, because
from trainer_calls import ended, get, process_of, put, uninterrupted, wait
from trainer_world import Service, World

from sparring_shared.artifacts import weights_digest
from sparring_shared.wire.trainer import JobRequest, JobStatus
from sparring_trainer.job.folder import JobFolder

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason=because(Skip.NOT_FOR_THIS_MACHINE, "limits file sizes"))

KILLS = int(os.environ.get("SPARRING_KILLS", "3"))
STEPS = 25
SEED = 10


def kill_at(client: TestClient, world: World, step: int, seconds: float) -> JobStatus:
    """Kill the job some time after a step, or in its beginning where that is 0; the status that it ends with."""
    wait(client, "killed", lambda status: status.step >= step or ended(status))
    time.sleep(seconds)
    if get(client, "killed").state == "running":
        os.kill(process_of(world, "killed"), signal.SIGKILL)
    return wait(client, "killed", ended)


def no_leftovers(world: World, request: JobRequest, job_id: str) -> None:
    folder, output = world.root / "jobs" / job_id, Path(request.output)
    assert [path.name for path in folder.glob(".*")] == []
    assert not (folder / "checkpoints").exists()
    assert [path.name for path in output.parent.glob(f".{output.name}.*")] == []


def test_a_job_killed_at_random_moments_ends_with_the_weights_of_one_left_alone(world: World, service: Service) -> None:
    client, request, draw = service(), world.request("killed"), random.Random(SEED)
    folder, reached = JobFolder(world.root / "jobs" / "killed"), 0
    expected = weights_digest(uninterrupted(world, client))
    for kill in range(KILLS):
        put(client, "killed", request)
        step = 0 if draw.random() < 0.2 else reached + draw.randint(1, max(1, STEPS // (KILLS + 1)))
        seconds = draw.uniform(0, 8 if step == 0 else 0.3)
        status = kill_at(client, world, step, seconds)
        print(f"kill {kill}, seed {SEED}: {seconds:.3f} s after step {step}; {status.state} at step {status.step}")
        assert status.state == "succeeded" or (status.error or "").startswith("The training job was killed (signal 9)")
        reached = max(reached, status.step)
        kept = sorted(folder.checkpoints.glob("checkpoint-*/complete.json"), key=lambda path: path.stat().st_mtime)
        if kill == KILLS - 1 and kept:
            # The disk lost the end of a file of the latest checkpoint.
            os.truncate(kept[-1].parent / "model.safetensors", 1000)
    put(client, "killed", request)
    done = wait(client, "killed", ended)

    assert (done.state, done.error) == ("succeeded", None)
    assert weights_digest(Path(request.output)) == expected
    assert [row["step"] for row in folder.metric_rows()] == list(range(1, STEPS + 1))
    assert "model.safetensors of checkpoint-" in folder.log.read_text()
    no_leftovers(world, request, "killed")


def test_a_job_that_hangs_and_then_finds_no_room_goes_on_to_the_same_weights(world: World, service: Service) -> None:
    client, request = service(), world.request("hangs")
    expected = weights_digest(uninterrupted(world, client))
    put(client, "hangs", request)
    wait(client, "hangs", lambda status: status.step >= 3)
    os.kill(process_of(world, "hangs"), signal.SIGSTOP)
    impatient = service(stall_minutes=0.01)
    hung = wait(impatient, "hangs", ended)
    assert (hung.state, hung.error_type) == ("failed", "broken")
    assert (hung.error or "").startswith("The training job stood still for 0.01 minutes (")
    assert hung.step >= 3

    put(client, "hangs", request)
    wait(client, "hangs", lambda status: status.phase is not None)
    # No file may grow beyond this: neither an inner checkpoint nor the trained policy can be written.
    resource.prlimit(process_of(world, "hangs"), resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
    full = wait(client, "hangs", ended)
    assert (full.state, full.error_type) == ("failed", "unavailable")
    assert " cannot be written (" in (full.error or "") and "make room there" in (full.error or "")
    assert not Path(request.output).exists()

    put(client, "hangs", request)
    done = wait(client, "hangs", ended)
    assert (done.state, done.error) == ("succeeded", None)
    assert weights_digest(Path(request.output)) == expected
    no_leftovers(world, request, "hangs")


def test_a_policy_that_cannot_be_written_is_no_policy(world: World, service: Service) -> None:
    client, request = service(checkpoint_minutes=600), world.request("full")
    left = JobFolder(world.root / "jobs" / "full")
    put(client, "full", request)
    left.unpublished().mkdir(parents=True)
    (left.unpublished() / "model.safetensors").write_bytes(b"of a killed attempt")
    wait(client, "full", lambda status: status.step >= 1)
    resource.prlimit(process_of(world, "full"), resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
    full = wait(client, "full", ended)
    assert (full.state, full.step, full.error_type) == ("failed", STEPS, "unavailable")
    assert not Path(request.output).exists()
    client.delete("/v1/jobs/full")
    assert not left.unpublished().exists()


def test_a_training_that_diverges_fails_with_one_sentence(world: World, service: Service) -> None:
    training = world.request().training.model_dump() | {"learning_rate": 1e30}
    client, request = service(), world.request("diverges", training=training)
    put(client, "diverges", request)
    failed = wait(client, "diverges", ended)
    assert (failed.state, failed.error_type) == ("failed", "diverged")
    assert (failed.error or "").startswith("The training diverged: at step ")
    rows = JobFolder(world.root / "jobs" / "diverges").metric_rows()
    assert [row["step"] for row in rows] == list(range(1, failed.step + 1))
