"""Which process a process id stands for: by when it started since boot, which no step of the clock changes."""

import sys
from pathlib import Path

import psutil

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_STATE, _THREADS, _START_TICKS = 0, 17, 19
"""Fields of /proc/PID/stat, counted from the one after the name."""


def birth_of(pid: int) -> str | None:
    """What no other process that ever has this id shares with the one that has it now; None if none runs.

    On Linux the boot and the clock ticks from then until the start, elsewhere the system's time of the start. A process that
    was killed runs until its last thread has ended; one that has ended and is not reaped does not run.
    """
    if sys.platform != "linux":
        return _birth_by_clock(pid)
    try:
        # The name stands in parentheses and may hold any character.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    if fields[_STATE] in "ZX" and int(fields[_THREADS]) <= 1:
        return None
    return f"{_boot_id()} {fields[_START_TICKS]}"


def _boot_id() -> str:
    """Empty where a sandbox shows none."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _birth_by_clock(pid: int) -> str | None:
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.2f}"
    except psutil.NoSuchProcess:
        return None
