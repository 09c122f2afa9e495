"""One training job as a process of its own: `python -m sparring_trainer.job JOB_FOLDER`, started by the service.

Exit code 0: the checkpoint is published. 1: `status.json` says why not.
"""

import ctypes
import os
import signal
import sys
import time
import traceback
from pathlib import Path

import psutil

from sparring_shared.errors import SparringError, fail
from sparring_trainer.job.folder import JobFolder
from sparring_trainer.settings import TrainerSettings

_PR_SET_PDEATHSIG = 1
_REGISTRATION_SECONDS = 10.0


def is_registered(folder: JobFolder) -> bool:
    """Whether the service has written down this process, or the launcher that started it, as the one to run the job.

    If the service dies in the moment between starting a process and writing it down, nobody could ever stop that process,
    and a second copy would be started beside it: so it waits a little and then ends by itself.
    """
    family = {process.pid for process in (psutil.Process(), *psutil.Process().parents())}
    deadline = time.monotonic() + _REGISTRATION_SECONDS
    while time.monotonic() < deadline:
        process = folder.process()
        if process is not None and process.pid in family:
            return True
        time.sleep(0.05)
    return False


def joins_from_another_machine() -> bool:
    """Whether the launcher is that of a machine which joined: only the main machine's is written down."""
    return os.environ.get("GROUP_RANK", "0") != "0"


def die_with_launcher() -> None:
    """Under `accelerate launch`, end when the launcher does, even when that was killed (Linux only)."""
    if "RANK" in os.environ and sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> int:
    """Run the job; whatever goes wrong is written into its status."""
    if len(sys.argv) != 2:
        return fail("give the folder of the job: python -m sparring_trainer.job JOB_FOLDER.")
    die_with_launcher()
    folder = JobFolder(Path(sys.argv[1]))
    if not joins_from_another_machine() and not is_registered(folder):
        return fail(f"The trainer service did not start this job; PUT it to /v1/jobs/{folder.job_id} instead.")
    try:
        from sparring_trainer.job.training import train

        settings = TrainerSettings()
        train(folder, checkpoint_steps=settings.checkpoint_steps, device=settings.device)
    except SparringError as error:
        return _failed(folder, error.message)
    except Exception as error:  # noqa: BLE001  # the job's outermost frame: the reason must reach the status
        return _failed(folder, f"{type(error).__name__}: {error}")
    return 0


def _failed(folder: JobFolder, message: str) -> int:
    traceback.print_exc()
    folder.write_failure(message.strip().splitlines()[0])
    return 1


if __name__ == "__main__":
    sys.exit(main())
