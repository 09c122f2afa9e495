"""The jobs of this service: one runs at a time, each is a folder and a process.

Everything is read from the folders, so a service that was killed finds its job again, alive or dead, when it is back.
"""

import subprocess
from threading import RLock

from sparring_shared.errors import Conflict, NotFound
from sparring_shared.settings import FolderSettings
from sparring_shared.wire.trainer import JobRequest, JobState, JobStatus
from sparring_trainer.job.folder import JobFolder
from sparring_trainer.service import job_processes as processes
from sparring_trainer.service.request_checks import check_data, check_paths, published
from sparring_trainer.settings import TrainerSettings


class Jobs:
    """Accepts, watches and ends jobs. All methods may be called from several threads."""

    def __init__(self, settings: TrainerSettings, folders: FolderSettings) -> None:
        self._settings = settings
        self._folders = folders
        self._lock = RLock()
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._current: str | None = self._find_running()

    def put(self, job_id: str, request: JobRequest) -> tuple[JobStatus, bool]:
        """Start the job unless it runs or is done; returns its status and whether it is new.

        Raises Conflict if the id stands for another request or another job is running, InvalidInput for a bad request.
        """
        with self._lock:
            folder = self._folder(job_id)
            known = folder.exists()
            if known and folder.request() != request:
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
                folder.write_status(_status(job_id, "succeeded", checkpoint=checkpoint, metrics=metrics))
            return self.get(job_id), not known

    def running(self) -> str | None:
        """The id of the job that runs now, if one does."""
        with self._lock:
            return self._current if self._current is not None and self.get(self._current).state == "running" else None

    def get(self, job_id: str) -> JobStatus:
        """The job's status. Raises NotFound for an id that was never PUT.

        A job is running as long as its process is, so when it is over its GPU memory is free.
        """
        with self._lock:
            folder = self._folder(job_id)
            if not folder.exists():
                raise NotFound(f"There is no job {job_id}; PUT it first.")
            alive, exit_code = self._process(folder)
            status = folder.status()
            if alive and status.state == "failed":
                # One of its processes, perhaps on another machine, said why; the others could wait for it for long.
                self._stop(folder, "failed", status.error)
                return status
            if alive:
                return status.model_copy(update={"state": "running", "checkpoint": None, "error": None})
            if status.state == "running":
                status = self._end(folder, "failed", processes.last_words(exit_code, folder.log))
            return status

    def delete(self, job_id: str) -> JobStatus:
        """Cancel the job if it runs; it can be PUT again. Raises NotFound for an id that was never PUT."""
        with self._lock:
            if self.get(job_id).state == "running":
                self._stop(self._folder(job_id), "cancelled", None)
            return self.get(job_id)

    def close(self) -> None:
        """End the running job, if any: without its service nobody would stop it."""
        with self._lock:
            if (job_id := self.running()) is not None:
                sentence = "The trainer service was stopped while the job ran; PUT it again to go on."
                self._stop(self._folder(job_id), "failed", sentence)

    def _folder(self, job_id: str) -> JobFolder:
        return JobFolder(self._settings.dir / job_id)

    def _find_running(self) -> str | None:
        folders = [JobFolder(path.parent) for path in sorted(self._settings.dir.glob("*/status.json"))]
        return next((folder.job_id for folder in folders if self._process(folder)[0]), None)

    def _process(self, folder: JobFolder) -> tuple[bool, int | None]:
        """Whether the job's process runs, and if not, its exit code where this service was its parent."""
        process = folder.process()
        if process is not None and processes.is_alive(process):
            return True, None
        child = self._children.get(folder.job_id)
        return False, None if child is None else processes.exit_code(child)

    def _start(self, folder: JobFolder) -> None:
        folder.write_status(_status(folder.job_id, "running"))
        self._children[folder.job_id] = processes.start(folder, self._settings)
        self._current = folder.job_id

    def _stop(self, folder: JobFolder, state: JobState, error: str | None) -> None:
        process = folder.process()
        assert process is not None  # it runs, so it was written down
        processes.stop(process)
        if folder.status().state == "running":
            self._end(folder, state, error)

    def _end(self, folder: JobFolder, state: JobState, error: str | None) -> JobStatus:
        status = folder.status().model_copy(update={"state": state, "error": error, "eta_seconds": None})
        folder.write_status(status)
        return status


def _status(job_id: str, state: JobState, **known: object) -> JobStatus:
    blank = {"step": 0, "total_steps": None, "metrics": {}, "eta_seconds": None, "checkpoint": None, "error": None}
    return JobStatus.model_validate({"job_id": job_id, "state": state, **blank, **known})
