import json
from pathlib import Path

from sparring_shared.wire.trainer import CheckpointRef, JobStatus
from sparring_trainer.job.folder import JobFolder
from sparring_trainer.job.progress import Progress, summarise


def folder(path: Path) -> JobFolder:
    job = JobFolder(path / "j")
    status = JobStatus(
        job_id="j", state="running", step=0, total_steps=None, metrics={}, eta_seconds=None, checkpoint=None, error=None
    )
    job.write_status(status)
    return job


def test_steps_are_rows_and_the_status() -> None:
    rows = [{"step": 1, "pairs": 9, "loss": 7.0}, {"step": 2, "pairs": 3, "loss": 1.0}, {"step": 3, "pairs": 1, "loss": 5.0}]

    assert summarise(rows, 2) == {"loss": 2.0}


def test_a_job_that_goes_on_forgets_the_steps_after_its_checkpoint(tmp_path: Path) -> None:
    job = folder(tmp_path)
    first = Progress(job, 4, writes=True)
    first.begin(0)
    for step in (1, 2, 3):
        first.step(step, {"pairs": 2, "loss": float(step)})
    with job.metrics.open("a") as stream:
        stream.write('{"step": 4, "lo')

    again = Progress(job, 4, writes=True)
    again.begin(2)
    again.step(3, {"pairs": 2, "loss": 30.0})

    assert [(row["step"], row["loss"]) for row in job.metric_rows()] == [(1, 1.0), (2, 2.0), (3, 30.0)]
    status = job.status()
    assert (status.state, status.step, status.total_steps, status.metrics["loss"]) == ("running", 3, 4, 30.0)
    assert status.eta_seconds is not None
    assert status.eta_seconds >= 0


def test_success_is_the_summary_and_the_checkpoint(tmp_path: Path) -> None:
    job, checkpoint = folder(tmp_path), CheckpointRef(version=1, digest="sha256:1", path="out")

    Progress(job, 4, writes=True).succeed({"loss": 2.0}, checkpoint)

    assert json.loads(job.summary.read_text()) == {"loss": 2.0}
    assert (job.status().state, job.status().checkpoint, job.status().metrics) == ("succeeded", checkpoint, {"loss": 2.0})


def test_only_one_process_writes(tmp_path: Path) -> None:
    job = folder(tmp_path)
    silent = Progress(job, 4, writes=False)
    silent.begin(0)
    silent.step(1, {"pairs": 2, "loss": 1.0})

    assert job.status().step == 0
    assert job.metric_rows() == []
