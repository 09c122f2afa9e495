"""A supervisord event listener: when a program ends by itself, what is left of its process group ends with it.

vLLM's engine outlives a server that is killed, and would hold its memory beside the engine of the next one.
"""

import os
import signal
from contextlib import suppress

import psutil
from supervisor import childutils


def main() -> None:
    """Answer events for ever."""
    while True:
        childutils.listener.wait()
        for group in leaderless_groups(os.getsid(0)):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
        childutils.listener.ok()


def leaderless_groups(session: int) -> set[int]:
    """Process groups of a session whose leader has ended: supervisord makes each program the leader of one.

    The event itself does not name the process of a program that ended soon after its start.
    """
    groups: set[int] = set()
    for pid in psutil.pids():
        with suppress(ProcessLookupError, PermissionError):
            if os.getsid(pid) == session:
                groups.add(os.getpgid(pid))
    return {group for group in groups if not psutil.pid_exists(group)}


if __name__ == "__main__":
    main()
