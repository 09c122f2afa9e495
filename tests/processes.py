"""A service in a process of its own, as a user starts it."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from ports import free_port

ROOT = Path(__file__).resolve().parents[1]


@contextmanager
def service(name: str, **settings: str) -> Iterator[str]:
    """The address of a service that is ready, on a free port unless one is set; ended by its process id."""
    prefix = f"SPARRING_{name.upper()}_"
    port = settings.get(f"{prefix}PORT") or free_port()
    environment = os.environ | {f"{prefix}PORT": str(port), **settings}
    process = subprocess.Popen([sys.executable, "-m", f"sparring_{name}"], cwd=ROOT, env=environment)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 120
        while not ready(url):
            assert process.poll() is None and time.monotonic() < deadline, f"the {name} did not start"
            time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").is_success
    except httpx.TransportError:
        return False
