"""The trainer: jobs that are started, looked at and cancelled, never waited for."""

from sparring_shared.client import ServiceClient
from sparring_shared.errors import Conflict, NotFound
from sparring_shared.wire.trainer import JobRequest, JobStatus, RunningJob


class OtherJob(Conflict):
    """The trainer runs another job, and one at a time."""


class TrainerClient:
    """Training jobs by id; the same id with the same request is the same job. An answer has to come in `seconds`."""

    def __init__(self, url: str, seconds: float = 60.0) -> None:
        self._service = ServiceClient("trainer", url, timeout=seconds)

    def start(self, job_id: str, request: JobRequest) -> JobStatus:
        """Start the job, or again if it failed.

        Raises OtherJob while another one runs, Conflict if the id stands for another.
        """
        try:
            return self._service.call("PUT", f"/v1/jobs/{job_id}", JobStatus, request)
        except Conflict as conflict:
            if isinstance(conflict.detail, dict) and "job_id" in conflict.detail:
                raise OtherJob(conflict.message, conflict.detail) from None
            raise

    def job(self, job_id: str) -> JobStatus | None:
        """How far the job is; None if the trainer does not know it."""
        try:
            return self._service.call("GET", f"/v1/jobs/{job_id}", JobStatus)
        except NotFound:
            return None

    def running(self) -> str | None:
        """The id of the job that runs now, if one does."""
        return self._service.call("GET", "/v1/jobs", RunningJob).job_id

    def cancel(self, job_id: str) -> None:
        """End the job, if there is one."""
        try:
            self._service.raw("DELETE", f"/v1/jobs/{job_id}")
        except NotFound:
            return

    def close(self) -> None:
        """Give the connections back."""
        self._service.close()
