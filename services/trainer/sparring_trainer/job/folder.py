"""The folder of one job: all that the service and the job's process know of each other.

The process writes `status.json` while it runs, the service before it starts and after it ended; never both at once. A machine
that joined the job writes there only that its part failed.
"""

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from sparring_shared.artifacts import write_json
from sparring_shared.errors import SparringError
from sparring_shared.records import Record
from sparring_shared.wire.trainer import JobRequest, JobStatus

R = TypeVar("R", bound=Record)


class ProcessRef(Record):
    """A process as nobody can mistake it: its id with its birth (`identity.birth_of`). `start` counts the service's starts."""

    pid: int
    birth: str
    start: int


class Provenance(Record):
    """`training.json` of a checkpoint: the job that made it and its metrics."""

    job_id: str
    request: JobRequest
    metrics: dict[str, float]


PROVENANCE = "training.json"
PROCESS = "started.json"
TRY_AGAIN = 75
"""Exit code of a process of the job that failed for what may be over later; EX_TEMPFAIL of sysexits.h."""


class JobFolder:
    """Files of the job that is named as the folder: `request.json`, `status.json`, `started.json`, `log.txt` and more."""

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

    def write_failure(self, error: SparringError) -> None:
        """Replace the status by a failure, unless one is there: of several processes the first to fail knows why."""
        status = self.status()
        if status.state != "failed":
            why = {"error": error.message.strip().splitlines()[0], "error_type": error.type}
            self.write_status(status.model_copy(update={"state": "failed", "eta_seconds": None, **why}))

    def process(self) -> ProcessRef | None:
        """The process that runs the job or ran it last; None if none was ever started."""
        return self._read(PROCESS, ProcessRef) if (self.root / PROCESS).is_file() else None

    def write_process(self, process: ProcessRef) -> None:
        """Remember the process."""
        self._write(PROCESS, process)

    def joined(self, machine_rank: int) -> ProcessRef | None:
        """The process of rank 0 whose job a machine joined last; None if it never joined this job."""
        name = f"joined-{machine_rank}.json"
        return self._read(name, ProcessRef) if (self.root / name).is_file() else None

    def write_joined(self, machine_rank: int, process: ProcessRef) -> None:
        """Remember that a machine joined."""
        self._write(f"joined-{machine_rank}.json", process)

    def log_of(self, machine_rank: int) -> Path:
        """The log of a machine that joined the job."""
        return self.root / f"log.{machine_rank}.txt"

    def lock_of(self, rank: int) -> Path:
        """What the process of a rank holds locked for as long as it lives."""
        return self.root / f"lock.{rank}"

    def unpublished(self) -> Path:
        """Where the trained policy is written until it is whole."""
        output = Path(self.request().output)
        return output.with_name(f".{output.name}.{self.job_id}")

    def sweep(self) -> None:
        """Remove what processes that were killed left half written; none may be writing now."""
        shutil.rmtree(self.unpublished(), ignore_errors=True)
        for path in self.root.glob(".*"):
            with suppress(OSError):  # what a file system keeps there for itself, as NFS does, stays
                path.unlink()

    def metric_rows(self) -> list[dict[str, float]]:
        """The metrics of every step in order, less a last line that a crash cut short."""
        if not self.metrics.is_file():
            return []
        return [json.loads(line) for line in self.metrics.read_text(encoding="utf-8").splitlines() if line.endswith("}")]

    def _read(self, name: str, kind: type[R]) -> R:
        return kind.model_validate_json((self.root / name).read_bytes())

    def _write(self, name: str, record: Record) -> None:
        write_json(self.root / name, record.model_dump(mode="json"))
