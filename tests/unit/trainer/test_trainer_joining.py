"""When a machine joins a job and when it ends its part. Its part is here a process that sleeps; rank 0 exists as files only."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sparring_shared.errors import Broken
from sparring_shared.wire.trainer import JobState, JobStatus
from sparring_trainer.job.folder import JobFolder, ProcessRef
from sparring_trainer.service import job_processes as processes
from sparring_trainer.service.joining import Joiner
from sparring_trainer.settings import TrainerSettings

Parts = list[subprocess.Popen[bytes]]


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Parts]:
    """The parts that were started, in their order."""
    started: Parts = []

    def launch(folder: JobFolder, settings: TrainerSettings, log: Path) -> subprocess.Popen[bytes]:
        assert (folder.job_id, log.name) == ("a", f"log.{settings.machine_rank}.txt")
        started.append(subprocess.Popen(["sleep", "100"]))
        return started[-1]

    monkeypatch.setattr(processes, "launch", launch)
    yield started
    for part in started:
        part.kill()
        part.wait()


def joiner(jobs: Path) -> Joiner:
    return Joiner(TrainerSettings(dir=jobs, machines=2, machine_rank=1))


def say(jobs: Path, state: JobState, pid: int) -> None:
    """What rank 0 leaves in the folder of job `a` when the process `pid` runs it."""
    folder = JobFolder(jobs / "a")
    folder.root.mkdir(exist_ok=True)
    blank = {"step": 0, "total_steps": None, "metrics": {}, "eta_seconds": None, "checkpoint": None, "error": None}
    folder.write_status(JobStatus.model_validate({"job_id": "a", "state": state, **blank}))
    folder.write_process(ProcessRef(pid=pid, birth=str(pid), start=pid))


def running(parts: Parts) -> list[bool]:
    return [part.poll() is None for part in parts]


def test_a_job_is_joined_once_each_time_it_is_started(tmp_path: Path, parts: Parts) -> None:
    machine = joiner(tmp_path)
    machine.look()
    assert running(parts) == []
    say(tmp_path, "running", 7)
    machine.look()
    machine.look()
    assert running(parts) == [True]
    say(tmp_path, "running", 8)
    machine.look()
    assert running(parts) == [False, True]
    machine.end()
    assert running(parts) == [False, False]


@pytest.mark.parametrize(("state", "goes_on"), [("failed", False), ("cancelled", False), ("succeeded", True)])
def test_the_part_of_a_job_is_ended_with_it_unless_it_succeeded(
    tmp_path: Path, parts: Parts, state: JobState, goes_on: bool
) -> None:
    machine = joiner(tmp_path)
    say(tmp_path, "running", 7)
    machine.look()
    say(tmp_path, state, 7)
    machine.look()
    assert running(parts) == [goes_on]


def test_a_part_that_failed_fails_the_job_until_it_is_started_again(tmp_path: Path, parts: Parts) -> None:
    machine, folder = joiner(tmp_path), JobFolder(tmp_path / "a")
    say(tmp_path, "running", 7)
    machine.look()
    folder.log_of(1).write_text("RuntimeError: no such model\n")
    parts[0].kill()
    parts[0].wait()
    machine.look()
    sentence = "On machine 1: The training job was killed (signal 9); the machine may be out of memory. PUT it again to go on."
    assert (folder.status().state, folder.status().error) == ("failed", sentence)
    say(tmp_path, "running", 7)
    machine.look()
    assert folder.status().state == "failed", "rank 0 wrote its progress over it"
    say(tmp_path, "running", 8)
    machine.look()
    assert (folder.status().state, running(parts)) == ("running", [False, True])


def test_the_first_failure_is_the_one_that_is_kept(tmp_path: Path) -> None:
    say(tmp_path, "running", 7)
    JobFolder(tmp_path / "a").write_failure(Broken("The GPU is out of memory."))
    JobFolder(tmp_path / "a").write_failure(Broken("RuntimeError: connection closed by peer"))
    assert JobFolder(tmp_path / "a").status().error == "The GPU is out of memory."


def test_a_machine_that_was_restarted_waits_for_the_next_start(tmp_path: Path, parts: Parts) -> None:
    say(tmp_path, "running", 7)
    joiner(tmp_path).look()
    again = joiner(tmp_path)
    again.look()
    assert len(parts) == 1
    say(tmp_path, "running", 8)
    again.look()
    assert len(parts) == 2


def test_a_job_that_began_before_this_machine_is_joined_and_one_that_is_over_is_not(tmp_path: Path, parts: Parts) -> None:
    say(tmp_path, "succeeded", 7)
    joiner(tmp_path).look()
    assert parts == []
    say(tmp_path, "running", 8)
    joiner(tmp_path).look()
    assert running(parts) == [True]


def test_the_command_line_names_the_machines_only_where_there_are_several() -> None:
    def words(**settings: object) -> list[str]:
        return processes.command(Path("/jobs/a"), TrainerSettings.model_validate(settings))[1:]

    job = ["-m", "sparring_trainer.job", "/jobs/a"]
    launch = ["-m", "accelerate.commands.launch", "--multi_gpu", "--mixed_precision", "no", "--dynamo_backend", "no"]
    assert words() == job
    assert words(processes=8) == [*launch, "--num_machines", "1", "--num_processes", "8", *job]
    several = ["--num_machines", "2", "--num_processes", "16", "--machine_rank", "1", "--rdzv_backend", "static"]
    several += ["--main_process_ip", "trainer-0", "--main_process_port", "29500"]
    assert words(processes=8, machines=2, machine_rank=1, main_host="trainer-0") == [*launch, *several, *job]


def test_a_rank_that_no_machine_has_is_refused() -> None:
    with pytest.raises(ValueError, match="ranks count from 0, so the last of 2 machines has 1"):
        TrainerSettings(machines=2, machine_rank=2)
