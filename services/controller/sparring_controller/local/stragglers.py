"""A supervisord event listener: when a program ends by itself, what is left of its process group ends with it.

vLLM's engine outlives a server that is killed, and would hold its memory beside the engine of the next one.
"""

import os
import signal
from contextlib import suppress

from supervisor import childutils


def main() -> None:
    """Answer events for ever; supervisord makes each program the leader of a group of its own."""
    while True:
        _, payload = childutils.listener.wait()
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(int(childutils.get_headers(payload)["pid"]), signal.SIGKILL)
        childutils.listener.ok()


if __name__ == "__main__":
    main()
