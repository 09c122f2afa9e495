"""The judge's application behind a real server, over an engine that computes only when the test lets it."""

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import httpx
import uvicorn
from fastapi import FastAPI

from sparring_judge.engines.by_name import load_engine
from sparring_judge.engines.engine import Computed, Engine
from sparring_judge.engines.stand_in import FakeComputer
from sparring_judge.queue.background_judge import BackgroundJudge
from sparring_judge.service.app import create_app
from sparring_judge.settings import JudgeSettings
from sparring_judge.tasks.units import Unit


class HeldComputer(FakeComputer):
    """The fake's numbers; a unit whose prompt is `hold` waits for `go`."""

    def __init__(self) -> None:
        self.held, self.go = threading.Event(), threading.Event()
        self.computed: list[object] = []

    def compute(self, units: Sequence[Unit]) -> Computed:
        if any(isinstance(unit.content, tuple) and unit.content[0] == "hold" for unit in units):
            self.held.set()
            assert self.go.wait(60)
        self.computed += [unit.content for unit in units]
        return super().compute(units)


@contextmanager
def served(app: FastAPI) -> Iterator[tuple[str, uvicorn.Server]]:
    """The application on a free port of the loopback; the server ends with the block."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=60))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}", server
        finally:
            server.should_exit = True
            thread.join(90)
            assert not thread.is_alive()


@contextmanager
def held_judge(settings: JudgeSettings) -> Iterator[tuple[str, uvicorn.Server, HeldComputer]]:
    """A served judge, ready, with the computer it uses."""
    computer = HeldComputer()
    reader = load_engine(settings).reader
    app = create_app(settings, BackgroundJudge(lambda: Engine(reader, lambda: computer), settings))
    try:
        with served(app) as (url, server):
            wait_for(lambda: httpx.get(f"{url}/readyz").status_code == 200)
            yield url, server, computer
            computer.go.set()
    finally:
        computer.go.set()


def wait_for(true: Callable[[], bool]) -> None:
    """Poll until it is true."""
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, "did not come true within a minute"
        time.sleep(0.01)


def metric(url: str, name: str) -> float:
    """The value of a metric without labels."""
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    return float(next(line for line in lines if line.startswith(f"{name} ")).split()[1])
