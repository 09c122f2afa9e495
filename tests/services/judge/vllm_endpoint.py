"""A real vLLM endpoint for the judge to ask: the project's own generator, on a random model."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from ports import free_port

START_SECONDS = 540


@contextmanager
def serving(folder: Path, log: Path) -> Iterator[str]:
    """Base URL of the endpoint; the server is ended by its process id."""
    port = free_port()
    environment = os.environ | {
        "SPARRING_GENERATOR_MODEL": str(folder),
        "SPARRING_GENERATOR_PORT": str(port),
        "SPARRING_GENERATOR_DTYPE": "float32",
    }
    with log.open("wb") as output:
        command = [sys.executable, "-m", "sparring_generator"]
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)
        try:
            _wait_until_ready(f"http://127.0.0.1:{port}/readyz", process, log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)  # vLLM's engine, in the same group, outlives a killed server
                process.wait()


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.25)
    pytest.fail(f"the endpoint did not start:\n{log.read_text()[-4000:]}")
