"""The folder of one job: all that the service and the job's process know of each other.

The process writes `status.json` while it runs, the service before it starts and after it ended; never both at once. A machine
that joined the job writes there only that its part failed.
"""

import json
from pathlib import Path
from typing import TypeVar

from sparring_shared.artifacts import write_json
from sparring_shared.records import Record
from sparring_shared.wire.trainer import JobRequest, JobStatus

R = TypeVar("R", bound=Record)


class ProcessRef(Record):
    """A process as nobody can mistake it: its id and when it started, in seconds since 1970."""

    pid: int
    created: float


class Provenance(Record):
    """`training.json` of a checkpoint: the job that made it and its metrics."""

    job_id: str
    request: JobRequest
    metrics: dict[str, float]


PROVENANCE = "training.json"


class JobFolder:
    """Files of the job that is named as the folder: `request.json`, `status.json`, `process.json`, `log.txt` and more."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.job_id = root.name
        self.log = root / "log.txt"
        self.metrics = root / "metrics.jsonl"
        self.summary = root / "summary.json"
        self.anchors = root / "anchors.npz"
        self.checkpoints = root / "checkpoints"

    def exists(self) -> bool:
        """Whether the job was ever accepted."""
        return (self.root / "status.json").is_file()

    def request(self) -> JobRequest:
        """What was asked for."""
        return self._read("request.json", JobRequest)

    def write_request(self, request: JobRequest) -> None:
        """Keep what was asked for."""
        self._write("request.json", request)

    def status(self) -> JobStatus:
        """The latest status that was written; `running` may be out of date if the process died."""
        return self._read("status.json", JobStatus)

    def write_status(self, status: JobStatus) -> None:
        """Replace the status."""
        self._write("status.json", status)

    def write_failure(self, error: str) -> None:
        """Replace the status by a failure, unless one is there: of several processes the first to fail knows why."""
        status = self.status()
        if status.state != "failed":
            self.write_status(status.model_copy(update={"state": "failed", "error": error, "eta_seconds": None}))

    def process(self) -> ProcessRef | None:
        """The process that runs the job or ran it last; None if none was ever started."""
        return self._read("process.json", ProcessRef) if (self.root / "process.json").is_file() else None

    def write_process(self, process: ProcessRef) -> None:
        """Remember the process."""
        self._write("process.json", process)

    def joined(self, machine_rank: int) -> ProcessRef | None:
        """The process of rank 0 whose job a machine joined last; None if it never joined this job."""
        name = f"joined.{machine_rank}.json"
        return self._read(name, ProcessRef) if (self.root / name).is_file() else None

    def write_joined(self, machine_rank: int, process: ProcessRef) -> None:
        """Remember that a machine joined."""
        self._write(f"joined.{machine_rank}.json", process)

    def log_of(self, machine_rank: int) -> Path:
        """The log of a machine that joined the job."""
        return self.root / f"log.{machine_rank}.txt"

    def last_checkpoint(self) -> Path | None:
        """The latest inner checkpoint that was written to its end."""
        # transformers writes trainer_state.json last.
        whole = [path.parent for path in self.checkpoints.glob("checkpoint-*/trainer_state.json")]
        return max(whole, key=lambda path: int(path.name.rpartition("-")[2]), default=None)

    def metric_rows(self) -> list[dict[str, float]]:
        """The metrics of every step in order, less a last line that a crash cut short."""
        if not self.metrics.is_file():
            return []
        return [json.loads(line) for line in self.metrics.read_text(encoding="utf-8").splitlines() if line.endswith("}")]

    def _read(self, name: str, kind: type[R]) -> R:
        return kind.model_validate_json((self.root / name).read_bytes())

    def _write(self, name: str, record: Record) -> None:
        write_json(self.root / name, record.model_dump(mode="json"))
