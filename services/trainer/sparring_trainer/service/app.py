"""The routes of the trainer service."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import FastAPI, Path, Response

from sparring_shared.http import create_service
from sparring_shared.settings import FolderSettings
from sparring_shared.wire.trainer import JobRequest, JobStatus, RunningJob
from sparring_trainer.service.jobs import Jobs
from sparring_trainer.settings import TrainerSettings

JobId = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]


def create_app(settings: TrainerSettings, folders: FolderSettings) -> FastAPI:
    """The application; when it shuts down, it ends the running job."""
    jobs = Jobs(settings, folders)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(jobs.close)

    app = create_service("Sparring trainer", lambda: None, lifespan=lifespan)

    @app.put("/v1/jobs/{job_id}", tags=["jobs"], responses={201: {"model": JobStatus}})
    def put_job(job_id: JobId, request: JobRequest, response: Response) -> JobStatus:
        """Start a training job: 201 if it is new, 200 if this very job was asked for before.

        A failed or cancelled job starts again. 409: the id stands for another body, or another job is running.
        """
        status, new = jobs.put(job_id, request)
        response.status_code = 201 if new else 200
        return status

    @app.get("/v1/jobs", tags=["jobs"])
    def get_running() -> RunningJob:
        """Which job runs now; one at a time does."""
        return RunningJob(job_id=jobs.running())

    @app.get("/v1/jobs/{job_id}", tags=["jobs"])
    def get_job(job_id: JobId) -> JobStatus:
        """State, step, metrics, remaining time and, once it is done, the checkpoint of a job."""
        return jobs.get(job_id)

    @app.delete("/v1/jobs/{job_id}", tags=["jobs"])
    def delete_job(job_id: JobId) -> JobStatus:
        """Cancel a job if it is running; what it was asked for is kept, and PUT starts it again."""
        return jobs.delete(job_id)

    return app
