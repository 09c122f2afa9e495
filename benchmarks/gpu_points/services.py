"""Judge and trainer as real services on free ports, and what is said to them over HTTP. Standard library only."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

START_SECONDS = 120.0


class ServiceEnded(Exception):
    """One sentence that says which service did not start or ended, and what it printed last."""


@dataclass(frozen=True)
class Service:
    """A service that runs; `url` is its base."""

    name: str
    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def ask(self, path: str, body: Any = None, method: str | None = None) -> Any:
        """The JSON answer. Raises ServiceEnded for one that is an error."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.loads(answer.read())
        except HTTPError as error:
            raise ServiceEnded(f"{self.name} answered {error.code}: {error.read().decode()[:300]}") from None


@contextmanager
def serving(name: str, settings: Mapping[str, str], folder: Path) -> Iterator[Service]:
    """`python -m sparring_NAME`, ready to answer; ended with the block. Raises ServiceEnded."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    prefix, log = f"SPARRING_{name.upper()}_", folder / f"{name}.log"
    environment = os.environ | {f"{prefix}PORT": port} | dict(settings)
    with log.open("wb") as stream:
        command = [sys.executable, "-m", f"sparring_{name}"]
        process = subprocess.Popen(command, env=environment, stdout=stream, stderr=stream)
    try:
        service = Service(name, f"http://127.0.0.1:{port}", process, log)
        _wait_until_ready(service)
        yield service
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(service: Service) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and service.process.poll() is None:
        try:
            service.ask("/readyz")
            return
        except (ServiceEnded, URLError, ConnectionError):
            time.sleep(0.2)
    last = service.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
    raise ServiceEnded(f"{service.name} did not become ready; it printed last: {''.join(last) or 'nothing'}")
