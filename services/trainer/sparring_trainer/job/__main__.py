"""One training job as a process of its own: `python -m sparring_trainer.job JOB_FOLDER`, started by the service.

Exit code 0: the checkpoint is published. 1: `status.json` says why not, as far as it could be written.
TRY_AGAIN: it says why not, and the same job may go on later. 2: it was not for this process to run the job.
"""

import ctypes
import errno
import fcntl
import os
import signal
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path

import psutil

from sparring_shared.errors import Broken, SparringError, Unavailable, fail
from sparring_trainer.job.folder import TRY_AGAIN, JobFolder
from sparring_trainer.settings import TrainerSettings

_PR_SET_PDEATHSIG = 1
_REGISTRATION_SECONDS = 10.0
_LOCK_SECONDS = 5.0


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


def alone(folder: JobFolder) -> bool:
    """Lock the job for as long as this process lives; False if another process of its rank lives and has it."""
    # Never closed, so that the lock ends with the process. The threads of one that was just killed take a moment to end.
    descriptor = os.open(folder.lock_of(int(os.environ.get("RANK", "0"))), os.O_RDWR | os.O_CREAT, 0o644)
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                return False
            time.sleep(0.05)
        except OSError as error:
            # Some network file systems know no locks.
            print(f"{folder.root} cannot be locked ({error}); going on without.", file=sys.stderr)
            return True
        else:
            return True


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
    if not alone(folder):
        return fail(f"Another process runs the job {folder.job_id}; wait for its end, or end it and PUT the job again.")
    try:
        from sparring_trainer.job.training import train

        settings = TrainerSettings()
        train(folder, checkpoint_seconds=60 * settings.checkpoint_minutes, device=settings.device)
    except SparringError as error:
        return _failed(folder, error)
    except Exception as error:  # noqa: BLE001  # the job's outermost frame: the reason must reach the status
        return _failed(folder, _described(error))
    return 0


def _described(error: Exception) -> SparringError:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Unavailable(f"The training job cannot write ({error}); make room on that disk, and it goes on.")
    return Broken(f"{type(error).__name__}: {error}".strip().splitlines()[0])


def _failed(folder: JobFolder, error: SparringError) -> int:
    with suppress(OSError):  # where the disk is full the exit code has to do
        traceback.print_exc()
        folder.write_failure(error)
    return TRY_AGAIN if isinstance(error, Unavailable) else 1


if __name__ == "__main__":
    sys.exit(main())
