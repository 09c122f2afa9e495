"""What a scenario is played in: all services under supervisord, with the settings of a run that meets trouble early."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx
from ports import free_port
from processes import ready

from chaos.proxy import Proxy
from sparring_controller.local.processes import Processes
from sparring_controller.local.programs import Program
from sparring_controller.local.redis_server import redis_program
from sparring_controller.local.services import LocalServices

ROOT = Path(__file__).resolve().parents[2]
WorldName = Literal["real", "small"]
PROXIED = "proxied"
"""The name under which runs ask the judge; the proxy before it can be told to answer 503."""


@dataclass(frozen=True)
class World:
    """Services that are up, and what can be done to them; `http` speaks with the controller."""

    name: WorldName
    runs_dir: Path
    http: httpx.Client
    processes: Processes
    judge: Proxy
    lease_seconds: float

    @property
    def database(self) -> Path:
        """The controller's SQLite file."""
        return self.runs_dir / "sparring.db"

    @property
    def redis_url(self) -> str:
        """Redis, as its own config says."""
        config = (self.processes.folder / "redis" / "redis.conf").read_text(encoding="utf-8")
        said = dict(re.findall(r"^(\S+) (.*)$", config, re.MULTILINE))
        return f"redis://:{said['requirepass']}@127.0.0.1:{said['port']}/0"

    @property
    def clock(self) -> Path:
        """What the program with a clock of its own adds to the time, for libfaketime."""
        return self.runs_dir / "clock"


def faketime() -> str | None:
    """libfaketime, where it is installed."""
    return next((str(path) for path in sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)


@contextmanager
def world(name: WorldName, folder: Path, patience: float) -> Iterator[World]:
    """Services for the duration of a block, in a new folder; a silent one is waited for `patience` seconds."""
    lease = {"real": 8.0, "small": 3.0}[name]
    folder.mkdir(parents=True)
    with Proxy() as proxy:
        variables = {
            "SPARRING_LEASE_SECONDS": str(lease),
            "SPARRING_RECONCILE_SECONDS": "1",
            "SPARRING_PATIENCE_SECONDS": str(patience),
            "SPARRING_JUDGE_URLS": f"{PROXIED}={proxy.url}",
            "OMP_NUM_THREADS": "1",
        }
        (folder / "clock").write_text("+0\n")
        start = _real if name == "real" else _small
        services = start(folder, variables)
        try:
            controller, judge = services
            proxy.target = judge
            with httpx.Client(base_url=controller, timeout=60) as http:
                yield World(name, folder, http, Processes(folder / ".services"), proxy, lease)
        finally:
            Processes(folder / ".services").end()


def _real(folder: Path, variables: Mapping[str, str]) -> tuple[str, str]:
    command = [str(Path(sys.executable).with_name("sparring")), "up", "--free-ports", "--detach", "--runs-dir", str(folder)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SPARRING_")} | dict(variables)
    up = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if up.returncode:
        raise RuntimeError(f"sparring up: {up.stdout}{up.stderr}")
    endpoints = LocalServices(folder).endpoints()
    assert endpoints is not None
    return endpoints.controller, endpoints.judge


def _small(folder: Path, variables: Mapping[str, str]) -> tuple[str, str]:
    ports = _ports("redis", "controller", "generator", "judge", "trainer")
    urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    redis, redis_url = redis_program(folder / ".services" / "redis", ports["redis"])
    path = os.pathsep.join(str(ROOT / place) for place in ("tests", "tests/services/controller"))
    engines = [
        Program(name=name, command=(sys.executable, "-m", "chaos.engines", str(ports[name]), "1"))
        for name in ("generator", "judge", "trainer")
    ]
    programs = [
        redis,
        Program(name="controller", command=(sys.executable, "-m", "sparring_controller")),
        *engines,
        *(_worker(name, queues, folder) for name, queues in QUEUES.items()),
    ]
    (folder / "models" / "base").mkdir(parents=True)
    (folder / "models" / "base" / "config.json").write_text("{}")
    (folder / "models" / "base" / "model.safetensors").write_text("weights 0")
    environment = {
        **variables,
        **{f"SPARRING_{name.upper()}_URL": url for name, url in urls.items()},
        "SPARRING_CONTROLLER_PORT": str(ports["controller"]),
        "SPARRING_REDIS_URL": redis_url,
        "SPARRING_RUNS_DIR": str(folder),
        "SPARRING_MODEL_ROOTS": str(folder / "models"),
        "SPARRING_PROMPT_ROOTS": str(folder),
        "SPARRING_SAMPLING_CONCURRENCY": "4",
        "REMAP_SIGTERM": "SIGQUIT",
        "PYTHONPATH": path,
    }
    Processes(folder / ".services").start(programs, environment, owned=True)
    _await_ready([urls[name] for name in ("controller", "generator", "judge", "trainer")])
    return urls["controller"], urls["judge"]


QUEUES = {"rounds": "rounds,train", "generate": "generate,evaluate", "judge": "judge"}


def _worker(name: str, queues: str, folder: Path) -> Program:
    """Two children, so that a stage whose worker is stopped can be taken up by another; one program's clock can be set."""
    celery = (sys.executable, "-m", "celery", "-A", "sparring_controller.celery_app", "worker", "-c", "2")
    command = (*celery, "-Q", queues, "-n", f"{name}@%h")
    library = faketime()
    if name == "judge" and library is not None:
        clock = {"LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": str(folder / "clock"), "FAKETIME_NO_CACHE": "1"}
        clock["FAKETIME_DONT_FAKE_MONOTONIC"] = clock["DONT_FAKE_MONOTONIC"] = "1"
        command = (shutil.which("env") or "/usr/bin/env", *(f"{key}={value}" for key, value in clock.items()), *command)
    return Program(name=f"worker-{name}", command=command)


def _ports(*names: str) -> dict[str, int]:
    return {name: free_port() for name in names}


def _await_ready(urls: Sequence[str]) -> None:
    deadline = time.monotonic() + 120
    for url in urls:
        while not ready(url):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{url} does not get ready; its log says why.")
            time.sleep(0.2)
