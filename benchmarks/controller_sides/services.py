"""The controller's own processes and the engines, each a process of its own, and what each of them has used so far."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import redis

from sparring_controller.local.redis_server import redis_program
from sparring_controller.local.services import WORKERS

ENGINES = "engines"
_HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Used:
    """CPU seconds so far, and the most memory that was ever resident, in MiB; those of children included."""

    cpu_seconds: float
    peak_mib: float


@dataclass(frozen=True)
class Stack:
    """What is running, and where."""

    folder: Path
    controller: str
    redis_url: str
    processes: dict[str, psutil.Process]

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.folder / "runs" / "sparring.db"

    def used(self) -> dict[str, Used]:
        """By process: a worker is Celery's parent and the child that does the work."""
        return {name: _used(process) for name, process in self.processes.items()}

    def redis_peak_mib(self) -> float:
        """The most memory that Redis ever held."""
        with redis.Redis.from_url(self.redis_url) as connection:
            return connection.info("memory")["used_memory_peak"] / 2**20

    def database_mib(self) -> float:
        """Its file and the log that is written ahead."""
        files = (self.database, self.database.with_name("sparring.db-wal"))
        return sum(file.stat().st_size for file in files if file.exists()) / 2**20


def _used(process: psutil.Process) -> Used:
    family = [process, *process.children(recursive=True)]
    times = [each.cpu_times() for each in family]
    peaks = [int(_status(each.pid)["VmHWM"].split()[0]) for each in family]
    return Used(sum(each.user + each.system for each in times), sum(peaks) / 1024)


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def free_ports(count: int) -> list[int]:
    """Ports that nobody has now."""
    with ExitStack() as held:
        return [held.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(count)]


@contextmanager
def stack(folder: Path, *, workers: bool = True) -> Iterator[Stack]:
    """Redis, engines, controller and the three workers that `sparring up` starts; ended with the block, the logs stay."""
    redis_port, engines_port, port = free_ports(3)
    program, redis_url = redis_program(folder / "redis", redis_port)
    engines = f"http://127.0.0.1:{engines_port}"
    environment = os.environ | {
        "SPARRING_RUNS_DIR": str(folder / "runs"),
        "SPARRING_MODEL_ROOTS": str(folder),
        "SPARRING_PROMPT_ROOTS": str(folder),
        "SPARRING_REDIS_URL": redis_url,
        "SPARRING_CONTROLLER_PORT": str(port),
        **dict.fromkeys(("SPARRING_GENERATOR_URL", "SPARRING_JUDGE_URL", "SPARRING_TRAINER_URL"), engines),
        "REMAP_SIGTERM": "SIGQUIT",
    }
    celery = [sys.executable, "-m", "celery", "-A", "sparring_controller.celery_app", "worker", "-c", "1"]
    commands = {
        "redis": list(program.command),
        ENGINES: [sys.executable, str(_HERE / "engines.py"), str(engines_port)],
        "controller": [sys.executable, "-m", "sparring_controller"],
    }
    if workers:
        commands |= {f"worker {name}": [*celery, "-Q", queues, "-n", f"{name}@%h"] for name, queues in WORKERS.items()}
    started: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, command in commands.items():
            with (folder / f"{name}.log").open("ab") as log:
                started[name] = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        address = f"http://127.0.0.1:{port}"
        _await_ready(address, started)
        yield Stack(folder, address, redis_url, {name: psutil.Process(each.pid) for name, each in started.items()})
    finally:
        for process in reversed(started.values()):
            process.terminate()
            process.wait(60)


def _await_ready(address: str, started: dict[str, subprocess.Popen[bytes]]) -> None:
    while True:
        ended = [name for name, process in started.items() if process.poll() is not None]
        if ended:
            sys.exit(f"The {ended[0]} ended instead of starting; see its log.")
        with suppress(httpx.TransportError):
            if httpx.get(f"{address}/readyz").is_success:
                return
        time.sleep(0.1)
