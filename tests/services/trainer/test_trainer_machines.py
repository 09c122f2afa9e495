"""One job on two machines: here two trees of processes that meet on loopback, under the real `accelerate launch`."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import psutil
import pytest
from fastapi.testclient import TestClient
from ports import free_port
from trainer_world import Service, World

from sparring_shared.errors import Broken
from sparring_shared.wire.trainer import JobRequest, JobStatus
from sparring_trainer.job.folder import JobFolder
from sparring_trainer.service.joining import create_joining_app


@pytest.fixture
def two_machines(world: World, service: Service) -> Iterator[TestClient]:
    """The service on the first machine, while a second one joins its jobs."""
    shared = {"machines": 2, "main_port": free_port()}
    with TestClient(create_joining_app(world.settings(machine_rank=1, **shared))) as second:
        yield service(**shared)
        assert second.get("/readyz").json() == {"status": "ready"}


def put(client: TestClient, job_id: str, request: JobRequest) -> None:
    assert client.put(f"/v1/jobs/{job_id}", json=request.model_dump(mode="json")).is_success


def until(client: TestClient, job_id: str, condition: Callable[[JobStatus], bool]) -> JobStatus:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        status = JobStatus.model_validate_json(client.get(f"/v1/jobs/{job_id}").content)
        if condition(status):
            return status
        time.sleep(0.1)
    raise AssertionError(f"waited in vain for {job_id}")


def rows(world: World, job_id: str) -> list[dict[str, float]]:
    lines = (world.root / "jobs" / job_id / "metrics.jsonl").read_text().splitlines()
    return [{name: value for name, value in json.loads(line).items() if name != "step_seconds"} for line in lines]


def processes_of(world: World, job_id: str) -> list[psutil.Process]:
    """The launchers and training processes of a job, on both machines."""
    command = ["-m", "sparring_trainer.job", str(world.root / "jobs" / job_id)]
    found: list[psutil.Process] = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            found += [child] if child.cmdline()[-3:] == command else []
    return found


def test_two_machines_take_the_same_steps_as_one_also_when_one_is_lost(
    world: World, service: Service, two_machines: TestClient
) -> None:
    request = world.request("two")
    put(two_machines, "two", request)
    until(two_machines, "two", lambda status: status.step >= 5)
    second = next(process for process in processes_of(world, "two") if process.environ().get("GROUP_RANK") == "1")
    second.send_signal(signal.SIGKILL)
    failed = until(two_machines, "two", lambda status: status.state != "running")
    assert failed.state == "failed" and failed.error

    put(two_machines, "two", request)
    done = until(two_machines, "two", lambda status: status.state != "running")
    assert (done.state, done.error, done.step) == ("succeeded", None, 25)
    assert (world.root / "jobs" / "two" / "log.1.txt").is_file()

    alone = service(dir=world.root / "jobs-alone")
    put(alone, "one", world.request("one"))
    until(alone, "one", lambda status: status.state != "running")
    assert [row["step"] for row in rows(world, "two")] == list(range(1, 26))
    for both, one in zip(rows(world, "two"), rows(world, "../jobs-alone/one"), strict=True):
        assert both == pytest.approx(one, rel=2e-3, abs=2e-5)


def test_a_job_whose_other_machine_failed_does_not_wait_for_it(world: World, service: Service) -> None:
    client = service(machines=2, main_port=free_port())
    put(client, "alone", world.request("alone"))
    assert processes_of(world, "alone") != []
    JobFolder(world.root / "jobs" / "alone").write_failure(Broken("On machine 1: there is no such model."))
    failed = JobStatus.model_validate_json(client.get("/v1/jobs/alone").content)
    assert (failed.state, failed.error) == ("failed", "On machine 1: there is no such model.")
    assert processes_of(world, "alone") == []
