"""What a test asks of a trainer service, and what a job leaves that nothing disturbs."""

import json
import time
from collections.abc import Callable
from pathlib import Path

from fastapi.testclient import TestClient
from trainer_world import World

from sparring_shared.wire.trainer import JobRequest, JobStatus


def put(client: TestClient, job_id: str, request: JobRequest) -> tuple[int, JobStatus]:
    answer = client.put(f"/v1/jobs/{job_id}", json=request.model_dump(mode="json"))
    assert answer.is_success, answer.text
    return answer.status_code, JobStatus.model_validate_json(answer.content)


def get(client: TestClient, job_id: str) -> JobStatus:
    return JobStatus.model_validate_json(client.get(f"/v1/jobs/{job_id}").content)


def wait(client: TestClient, job_id: str, until: Callable[[JobStatus], bool], seconds: float = 120) -> JobStatus:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        status = get(client, job_id)
        if until(status):
            return status
        time.sleep(0.02)
    raise AssertionError(f"waited {seconds} s in vain: {get(client, job_id)}")


def ended(status: JobStatus) -> bool:
    return status.state != "running"


def refused(client: TestClient, job_id: str, request: JobRequest, status: int) -> str:
    answer = client.put(f"/v1/jobs/{job_id}", json=request.model_dump(mode="json"))
    assert answer.status_code == status, answer.text
    return answer.json()["error"]["message"]


def process_of(world: World, job_id: str) -> int:
    return json.loads((world.root / "jobs" / job_id / "started.json").read_text())["pid"]


def uninterrupted(world: World, client: TestClient) -> Path:
    """The checkpoint of the same training without a crash: that of an earlier test, or made now."""
    request = world.request()
    if not Path(request.output).exists():
        request = world.request("plain")
        put(client, "plain", request)
        wait(client, "plain", ended)
    return Path(request.output)
