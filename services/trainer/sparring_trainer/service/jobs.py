"""The jobs of this service: one runs at a time, each is a folder and a process.

Everything is read from the folders, so a service that was killed finds its job again, alive or dead, when it is back.
"""

import logging
import shutil
import subprocess
from threading import RLock

from sparring_shared.errors import Broken, Conflict, NotFound, SparringError, Unavailable, error_of
from sparring_shared.settings import FolderSettings
from sparring_shared.wire.trainer import JobRequest, JobState, JobStatus
from sparring_trainer.job.folder import PROCESS, JobFolder
from sparring_trainer.service import job_processes as processes
from sparring_trainer.service.request_checks import check_data, check_paths, published
from sparring_trainer.service.standstill import Standstill
from sparring_trainer.settings import TrainerSettings

log = logging.getLogger(__name__)

LINGER_SECONDS = 60.0
"""How long a process may take to end once its job has succeeded."""


class Jobs:
    """Accepts, watches and ends jobs. All methods may be called from several threads."""

    def __init__(self, settings: TrainerSettings, folders: FolderSettings) -> None:
        self._settings = settings
        self._folders = folders
        self._lock = RLock()
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._standstill = Standstill()
        self._current: str | None = self._find_running()

    def put(self, job_id: str, request: JobRequest) -> tuple[JobStatus, bool]:
        """Start the job unless it runs or is done; returns its status and whether it is new.

        Raises Conflict if the id stands for another request or another job is running, InvalidInput for a bad request,
        Unavailable where the job's folder cannot be written.
        """
        try:
            return self._put(job_id, request)
        except OSError as error:
            raise Unavailable(f"The job {job_id} cannot be started ({error}); mend that, or make room on the disk.") from error

    def _put(self, job_id: str, request: JobRequest) -> tuple[JobStatus, bool]:
        with self._lock:
            folder = self._folder(job_id)
            known = folder.exists()
            if known and not folder.request().asks_for(request):
                raise Conflict(f"The job {job_id} was asked for with another body; choose another job id.")
            if known and self.get(job_id).state in ("running", "succeeded"):
                return self.get(job_id), False
            if (other := self.running()) is not None:
                raise Conflict(f"The job {other} is running; wait for its end or DELETE it.", {"job_id": other})
            check_paths(request, self._folders)
            done = published(job_id, request)
            if done is None:
                check_data(request)
            folder.root.mkdir(parents=True, exist_ok=True)
            folder.write_request(request)
            if done is None:
                self._start(folder)
            else:
                checkpoint, metrics = done
                shutil.rmtree(folder.checkpoints, ignore_errors=True)
                folder.write_status(_status(job_id, "succeeded", checkpoint=checkpoint, metrics=metrics))
            return self.get(job_id), not known

    def running(self) -> str | None:
        """The id of the job that runs now, if one does."""
        with self._lock:
            return self._current if self._current is not None and self.get(self._current).state == "running" else None

    def get(self, job_id: str) -> JobStatus:
        """The job's status. Raises NotFound for an id that was never PUT.

        A job is running as long as its process is, so when it is over its GPU memory is free. One that stands still, or whose
        process stays after success, is ended by this look.
        """
        with self._lock:
            folder = self._folder(job_id)
            if not folder.exists():
                raise NotFound(f"There is no job {job_id}; PUT it first.")
            alive, exit_code = self._process(folder)
            status = folder.status()
            if alive and not self._is_over(folder, status):
                return status.model_copy(update={"state": "running", "checkpoint": None, "error": None, "error_type": None})
            if not alive and status.state == "running":
                words = processes.last_words(exit_code, folder.log)
                self._end(folder, "failed", error_of(processes.kind_of_end(exit_code), words))
            return folder.status()

    def _is_over(self, folder: JobFolder, status: JobStatus) -> bool:
        """Whether the job's processes, which are alive, had to be ended."""
        still = self._standstill.seconds(status)
        if status.state == "failed":
            # One of its processes, perhaps on another machine, said why; the others could wait for it for long.
            self._stop(folder, "failed", None)
        elif status.state == "succeeded" and still > LINGER_SECONDS:
            log.warning("the process of job %s did not end by itself after it had succeeded", folder.job_id)
            self._stop(folder, "succeeded", None)
        elif status.state == "running" and still > 60 * self._settings.stall_minutes:
            sentence = (
                f"The training job stood still for {self._settings.stall_minutes:g} minutes ({status.phase or 'starting'}) and "
                "was ended. PUT it again to go on; if it was only slow, raise SPARRING_TRAINER_STALL_MINUTES."
            )
            log.warning("job %s: %s", folder.job_id, sentence)
            self._stop(folder, "failed", Broken(sentence))
        else:
            return False
        return True

    def delete(self, job_id: str) -> JobStatus:
        """Cancel the job if it runs; it can be PUT again. Raises NotFound for an id that was never PUT."""
        with self._lock:
            folder = self._folder(job_id)
            if self.get(job_id).state == "running":
                self._stop(folder, "cancelled", None)
            status = self.get(job_id)
            if status.state in ("failed", "cancelled"):
                folder.sweep()
            return status

    def close(self) -> None:
        """End the running job, if any: without its service nobody would stop it."""
        with self._lock:
            if (job_id := self.running()) is not None:
                sentence = "The trainer service was stopped while the job ran; PUT it again to go on."
                self._stop(self._folder(job_id), "failed", Unavailable(sentence))

    def _folder(self, job_id: str) -> JobFolder:
        return JobFolder(self._settings.dir / job_id)

    def _find_running(self) -> str | None:
        folders = [JobFolder(path.parent) for path in sorted(self._settings.dir.glob("*/status.json"))]
        return next((folder.job_id for folder in folders if self._process(folder)[0]), None)

    def _process(self, folder: JobFolder) -> tuple[bool, int | None]:
        """Whether the job's process runs, and if not, its exit code where this service was its parent."""
        child = self._children.get(folder.job_id)
        if child is not None:
            return child.poll() is None, child.returncode
        process = folder.process()
        return process is not None and processes.is_alive(process), None

    def _start(self, folder: JobFolder) -> None:
        folder.write_status(_status(folder.job_id, "running"))
        known = [JobFolder(path.parent).process() for path in self._settings.dir.glob(f"*/{PROCESS}")]
        number = 1 + max((process.start for process in known if process is not None), default=0)
        self._children[folder.job_id] = processes.start(folder, self._settings, number)
        self._current = folder.job_id

    def _stop(self, folder: JobFolder, state: JobState, error: SparringError | None) -> None:
        process = folder.process()
        assert process is not None  # it runs, so it was written down
        processes.stop(process.pid)
        if folder.status().state == "running":
            self._end(folder, state, error)

    def _end(self, folder: JobFolder, state: JobState, error: SparringError | None) -> None:
        why = {"error": None, "error_type": None} if error is None else {"error": error.message, "error_type": error.type}
        try:
            folder.write_status(folder.status().model_copy(update={"state": state, "eta_seconds": None, **why}))
        except OSError as full:
            raise Unavailable(f"The state of job {folder.job_id} cannot be written ({full}); make room on that disk.") from full


def _status(job_id: str, state: JobState, **known: object) -> JobStatus:
    blank = {"step": 0, "total_steps": None, "metrics": {}, "eta_seconds": None, "checkpoint": None, "error": None}
    return JobStatus.model_validate({"job_id": job_id, "state": state, **blank, **known})
