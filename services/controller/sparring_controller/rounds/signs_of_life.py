"""A stage that hangs is noticed from outside: its process gives signs of life in memory that its parent reads.

The lease alone does not tell: its thread goes on renewing it while the stage waits for something that never comes.
"""

import logging
import mmap
import os
import signal
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

log = logging.getLogger(__name__)

_SIGN = struct.Struct("qd")
_PLACES = 64


class SignsOfLife:
    """Made before the pool forks, so that parent and children share it; a child has a place of its own by its process id."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _PLACES * _SIGN.size)

    def give(self) -> None:
        """This process is at work on a stage, and not stuck."""
        self._write(os.getpid(), time.monotonic())

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """From here to the end of the block signs are expected."""
        self.give()
        try:
            yield
        finally:
            self._write(0, 0.0)

    def silent(self, seconds: float) -> list[int]:
        """Ids of the processes at work that have given no sign for so long."""
        known = [_SIGN.unpack_from(self._memory, place * _SIGN.size) for place in range(_PLACES)]
        return [pid for pid, given in known if pid and time.monotonic() - given > seconds]

    def forget(self, pid: int) -> None:
        """That process is gone."""
        _SIGN.pack_into(self._memory, pid % _PLACES * _SIGN.size, 0, 0.0)

    def _write(self, pid: int, at: float) -> None:
        _SIGN.pack_into(self._memory, os.getpid() % _PLACES * _SIGN.size, pid, at)


def end_silent_children(signs: SignsOfLife, seconds: float) -> list[int]:
    """Kill those children of this process that were silent for so long; Celery starts others, and their leases lapse.

    SIGKILL, as a process that was stopped or waits for a disk hears nothing else.
    """
    ended: list[int] = []
    for pid in signs.silent(seconds):
        with suppress(psutil.NoSuchProcess):  # killed by somebody else: its id may be another's by now
            child = psutil.Process(pid)
            if child.ppid() == os.getpid():
                log.error(
                    "process %d gave no sign of life for %.0f s in its stage and is killed; another does it again", pid, seconds
                )
                child.send_signal(signal.SIGKILL)
                ended.append(pid)
        signs.forget(pid)
    return ended
