import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sparring_shared.wire.trainer import CheckpointRef, JobRequest, JobStatus
from sparring_trainer.job import __main__ as job
from sparring_trainer.job import training
from sparring_trainer.job.folder import JobFolder, ProcessRef

LOCKS = "import fcntl, sys; held = open(sys.argv[1], 'w'); fcntl.flock(held, fcntl.LOCK_EX); print(1, flush=True); input()"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> JobFolder:
    made = JobFolder(tmp_path / "j")
    request = {
        "policy": CheckpointRef(version=0, digest="sha256:0", path=str(tmp_path / "absent")),
        "pairs": [str(tmp_path / "absent.parquet")],
        "output": str(tmp_path / "out"),
        "version": 1,
        "algorithm": {"name": "sppo"},
        "training": {},
    }
    blank = {"step": 3, "total_steps": 9, "metrics": {}, "eta_seconds": 1.0, "checkpoint": None, "error": None}
    made.write_request(JobRequest.model_validate(request))
    made.write_status(JobStatus.model_validate({"job_id": "j", "state": "running", **blank}))
    monkeypatch.setattr(sys, "argv", ["job", str(made.root)])
    monkeypatch.setattr(job, "_REGISTRATION_SECONDS", 0.1)
    return made


def test_a_process_that_the_service_did_not_write_down_does_nothing(
    folder: JobFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert job.main() == 2
    folder.write_process(ProcessRef(pid=2**22 + 1, birth="1", start=1))
    assert job.main() == 2

    assert "The trainer service did not start this job; PUT it to /v1/jobs/j instead." in capsys.readouterr().err
    assert folder.status().state == "running"


@pytest.mark.parametrize("pid", [os.getpid(), os.getppid()], ids=["itself", "its launcher"])
def test_what_goes_wrong_becomes_one_sentence_of_the_status(folder: JobFolder, pid: int) -> None:
    folder.write_process(ProcessRef(pid=pid, birth="1", start=1))

    assert job.main() == 1

    status = folder.status()
    assert (status.state, status.step, status.eta_seconds) == ("failed", 3, None)
    assert status.error is not None
    assert status.error.startswith("The config of ")
    assert "\n" not in status.error


def test_a_second_process_for_the_same_job_ends_at_once(
    folder: JobFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.write_process(ProcessRef(pid=os.getpid(), birth="1", start=1))
    monkeypatch.setattr(job, "_LOCK_SECONDS", 0.1)
    with subprocess.Popen([sys.executable, "-c", LOCKS, folder.lock_of(0)], stdin=-1, stdout=-1, text=True) as first:
        assert first.stdin is not None and first.stdout is not None
        first.stdout.readline()
        assert job.main() == 2
        assert "Another process runs the job j; wait for its end" in capsys.readouterr().err
        assert folder.status().state == "running", "it is the other's to write"
        first.kill()
    assert job.main() == 1
    assert folder.status().state == "failed"


@pytest.mark.parametrize("can_say", [True, False])
def test_a_full_disk_has_an_exit_code_that_says_so(folder: JobFolder, monkeypatch: pytest.MonkeyPatch, can_say: bool) -> None:
    folder.write_process(ProcessRef(pid=os.getpid(), birth="1", start=1))

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(training, "train", full)
    if not can_say:
        monkeypatch.setattr(JobFolder, "write_status", full)
    assert job.main() == 75
    sentence = "The training job cannot write ([Errno 28] No space left on device); make room on that disk, and it goes on."
    told = (folder.status().state, folder.status().error_type, folder.status().error)
    assert told == (("failed", "unavailable", sentence) if can_say else ("running", None, None))


def test_without_a_folder_it_says_how_it_is_called(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["job"])

    assert job.main() == 2
    assert "python -m sparring_trainer.job JOB_FOLDER" in capsys.readouterr().err
