"""Ports for what tests start."""

import os
import random
import socket

# Linux gives out those from 32768 by itself; no connection takes one of ours between choosing it and listening on it.
_LOWEST, _COUNT = 10_000, 22_000
_WORKERS = 16
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
_share = list(range(_LOWEST + _worker, _LOWEST + _COUNT, _WORKERS))
random.Random().shuffle(_share)


def free_port() -> int:
    """A port of 127.0.0.1 on which nothing listens; no other call and no other worker of pytest gets the same."""
    while True:
        port = _share.pop()
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
