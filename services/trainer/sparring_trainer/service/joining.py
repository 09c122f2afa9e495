"""What a machine with a rank above 0 does: it joins each job that the trainer service on rank 0 runs.

It learns of a job from the shared folder of jobs alone, so rank 0 need not know how to reach it. Torch's own rendezvous brings
the processes together, in whatever order the machines start.
"""

import logging
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Event, Thread

from fastapi import FastAPI

from sparring_shared.errors import Broken
from sparring_shared.http import create_service
from sparring_trainer.job.folder import PROCESS, JobFolder, ProcessRef
from sparring_trainer.service import job_processes as processes
from sparring_trainer.settings import TrainerSettings

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0


def latest_job(jobs: Path) -> tuple[JobFolder, ProcessRef] | None:
    """The job that rank 0 started last and the process that it started for it; None if it never started one.

    A job that is started again has another process.
    """
    folders = [JobFolder(path.parent) for path in jobs.glob(f"*/{PROCESS}")]
    started = [(folder, process) for folder in folders if (process := folder.process()) is not None]
    return max(started, key=lambda job: job[1].start, default=None)


class Joiner:
    """Runs this machine's part of the latest job. Called from one thread."""

    def __init__(self, settings: TrainerSettings) -> None:
        self._settings = settings
        self._part: subprocess.Popen[bytes] | None = None
        self._joined: ProcessRef | None = None
        self._exit_code: int | None = None

    def look(self) -> None:
        """Join the latest job once each time it is started; end this machine's part of one that is over without success.

        A part that failed fails the job, which may not notice that it is gone.
        """
        self._reap()
        rank, latest = self._settings.machine_rank, latest_job(self._settings.dir)
        if latest is None:
            return
        folder, process = latest
        state = folder.status().state
        # One that succeeded ends by itself, on all machines together.
        if process != self._joined or state in ("failed", "cancelled"):
            self.end()
        elif state == "running" and self._exit_code:
            # Said again at each look until it stays: rank 0 may have written its progress over it.
            words = processes.last_words(self._exit_code, folder.log_of(rank))
            folder.write_failure(Broken(f"On machine {rank}: {words}"))
        # Once started without the others, a part of a job never comes together with them: one try for each start.
        if state == "running" and process != folder.joined(rank):
            folder.write_joined(rank, process)
            log.info("joining the job %s as machine %d", folder.job_id, rank)
            self._part = processes.launch(folder, self._settings, folder.log_of(rank))
            self._joined, self._exit_code = process, None

    def end(self) -> None:
        """End this machine's part of a job, if it has one under way."""
        self._reap()
        if self._part is not None:
            processes.stop(self._part.pid)
            self._part.poll()
            self._part = None

    def _reap(self) -> None:
        if self._part is not None and (code := self._part.poll()) is not None:
            log.info("this machine's part of the job has ended (exit code %d)", code)
            self._part, self._exit_code = None, code

    def follow(self, stop: Event) -> None:
        """Look again and again until told to stop."""
        while not stop.wait(LOOK_SECONDS):
            try:
                self.look()
            except OSError as error:
                log.warning("the folder of jobs cannot be read now (%s); looking again", error)
        self.end()


def create_joining_app(settings: TrainerSettings) -> FastAPI:
    """Health and metrics of a machine that joins jobs; when it shuts down, it ends its part of the running job."""
    joiner, stop = Joiner(settings), Event()
    thread = Thread(target=joiner.follow, args=(stop,), name="join-jobs")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        thread.start()
        yield
        stop.set()
        thread.join()

    def missing() -> str | None:
        return None if thread.is_alive() else "This machine does not join jobs any more; its log says why. Restart it."

    return create_service("Sparring trainer, joining", missing, lifespan=lifespan)
