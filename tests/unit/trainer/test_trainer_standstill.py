"""A job's process is here one that sleeps; what it tells is written by the test."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sparring_shared.settings import FolderSettings
from sparring_shared.wire.trainer import CheckpointRef, JobPhase, JobRequest, JobState, JobStatus
from sparring_trainer.job.folder import JobFolder, ProcessRef
from sparring_trainer.job.identity import birth_of
from sparring_trainer.service import jobs
from sparring_trainer.service.jobs import Jobs
from sparring_trainer.settings import TrainerSettings


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "100"])
    yield process
    process.kill()
    process.wait()


def running(root: Path, sleeper: subprocess.Popen[bytes], state: JobState = "running") -> JobFolder:
    """What a service that was killed left of a running job."""
    folder, checkpoint = JobFolder(root / "a"), CheckpointRef(version=0, digest="sha256:0", path="base")
    body = {"policy": checkpoint, "pairs": ["p"], "output": str(root / "out"), "version": 1, "algorithm": {"name": "sppo"}}
    folder.write_request(JobRequest.model_validate({**body, "training": {}}))
    blank = {"step": 3, "total_steps": 9, "metrics": {}, "eta_seconds": 1.0, "checkpoint": None, "error": None}
    folder.write_status(JobStatus.model_validate({"job_id": "a", "state": state, **blank}))
    birth = birth_of(sleeper.pid)
    assert birth is not None
    folder.write_process(ProcessRef(pid=sleeper.pid, birth=birth, start=1))
    return folder


def service(root: Path, stall_minutes: float = 30) -> Jobs:
    return Jobs(TrainerSettings(dir=root, stall_minutes=stall_minutes), FolderSettings(runs_dir=root))


def test_a_job_that_tells_nothing_new_is_ended_and_says_what_it_did(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    folder, found = running(tmp_path, sleeper), service(tmp_path, stall_minutes=0.001)
    for done in range(3):
        # Longer than the limit lies between the looks, but each sees something new.
        folder.write_status(folder.status().model_copy(update={"phase": JobPhase(name="scoring", done=done, total=40)}))
        assert found.get("a").state == "running"
        time.sleep(0.1)
    status = found.get("a")
    assert (status.state, status.error_type) == ("failed", "broken")
    assert status.error == (
        "The training job stood still for 0.001 minutes (scoring, 2 of 40 micro-batches) and was ended. PUT it again to go on; "
        "if it was only slow, raise SPARRING_TRAINER_STALL_MINUTES."
    )
    assert sleeper.poll() is not None


def test_a_process_that_stays_after_success_is_ended(
    tmp_path: Path, sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    running(tmp_path, sleeper, "succeeded")
    found = service(tmp_path)
    assert found.get("a").state == "running", "its memory is not free yet"
    monkeypatch.setattr(jobs, "LINGER_SECONDS", 0.0)
    assert found.get("a").state == "succeeded"
    assert sleeper.poll() is not None


def test_a_service_that_was_killed_finds_its_job_and_one_that_went_down_with_it_can_go_on(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    running(tmp_path, sleeper)
    assert service(tmp_path).running() == "a"
    sleeper.kill()
    sleeper.wait()
    found = service(tmp_path)
    assert found.running() is None
    assert (found.get("a").state, found.get("a").error_type) == ("failed", "unavailable")


def test_a_service_that_is_stopped_says_that_the_job_can_go_on(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    running(tmp_path, sleeper)
    service(tmp_path).close()
    status = service(tmp_path).get("a")
    assert (status.error, status.error_type) == (
        "The trainer service was stopped while the job ran; PUT it again to go on.",
        "unavailable",
    )
