"""A real Redis, a real SQLite file or Postgres, and a stand-in for generator, judge and trainer."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from below import Below, Server, create_below, model_folder
from redis_process import RedisProcess

from sparring_controller.api.controller import Controller
from sparring_controller.rounds.clients import Services
from sparring_controller.rounds.doorbell import Doorbell
from sparring_controller.rounds.worker import Worker
from sparring_controller.settings import ControllerSettings
from sparring_controller.store.database import Database
from sparring_controller.store.schema import migrate


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = RedisProcess(tmp_path_factory.mktemp("redis"))
    yield server.url
    server.kill()


@pytest.fixture
def own_redis(tmp_path: Path, settings: ControllerSettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisProcess]:
    """A Redis of the test's own, to do violence to; the settings and all workers name it."""
    server = RedisProcess(tmp_path)
    monkeypatch.setenv("SPARRING_REDIS_URL", server.url)
    yield server
    server.go_on()
    server.kill()


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """The address of the real Redis, with nothing in it."""
    with redis.Redis.from_url(redis_server) as connection:
        connection.flushall()
    return redis_server


@pytest.fixture
def below() -> Below:
    return Below()


@pytest.fixture
def below_url(below: Below) -> Iterator[str]:
    server = Server(create_below(below))
    yield server.url
    below.answers_may_go.set()
    server.stop()


@pytest.fixture
def settings(
    tmp_path: Path, redis_url: str, below_url: str, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> ControllerSettings:
    environment = {
        "SPARRING_RUNS_DIR": str(tmp_path / "runs"),
        "SPARRING_MODEL_ROOTS": str(tmp_path / "models"),
        "SPARRING_PROMPT_ROOTS": str(tmp_path),
        "SPARRING_DATABASE_URL": database_url,
        "SPARRING_REDIS_URL": redis_url,
        "SPARRING_GENERATOR_URL": below_url,
        "SPARRING_JUDGE_URL": below_url,
        "SPARRING_TRAINER_URL": below_url,
        "SPARRING_LEASE_SECONDS": "3",
        "SPARRING_RECONCILE_SECONDS": "0.5",
        "SPARRING_SAMPLING_CONCURRENCY": "4",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return ControllerSettings()  # pyright: ignore[reportCallIssue]


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    """A run of two rounds: 10 prompts of about 20 each, in shards of 4."""
    model_folder(tmp_path / "models" / "base", "weights 0")
    lines = [json.dumps({"prompt": f"Question {i}?"}) for i in range(30)]
    (tmp_path / "prompts.jsonl").write_text("\n".join(lines) + "\n")
    return {
        "name": "small",
        "rounds": 2,
        "policy": {"model": str(tmp_path / "models" / "base")},
        "prompts": {"source": str(tmp_path / "prompts.jsonl"), "heldout": 0.3, "per_round": 10},
        "sampling": {"k": 3, "max_tokens": 8, "shard_size": 4},
        "evaluation": {"prompts": 6},
    }


@pytest.fixture
def controller(settings: ControllerSettings) -> Iterator[Controller]:
    database = Database(settings.database)
    migrate(database)
    made = Controller(settings, database, Doorbell(settings.redis_url.get_secret_value()), Services.at(settings))
    yield made
    made.close()


@pytest.fixture
def worker(controller: Controller) -> Worker:
    """A worker on the controller's own connections."""
    return Worker(controller.settings, controller.database, controller.doorbell, controller.services)


@pytest.fixture
def eventually() -> Callable[[Callable[[], Any], float], Any]:
    """Polls until something is true."""

    def poll(found: Callable[[], Any], seconds: float) -> Any:
        deadline = time.monotonic() + seconds
        while not (value := found()):
            assert time.monotonic() < deadline, f"not within {seconds} s"
            time.sleep(0.05)
        return value

    return poll


@pytest.fixture
def start_worker(settings: ControllerSettings, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts a worker for all queues as its own process group; all are killed at the end."""
    started: list[subprocess.Popen[bytes]] = []

    def start(queues: str = "rounds,generate,judge,train,evaluate") -> subprocess.Popen[bytes]:
        name = f"test{len(started)}@%h"
        command = ["-m", "celery", "-A", "sparring_controller.celery_app", "worker", "-c", "1", "-n", name]
        command += ["-Q", queues]
        environment = os.environ | {"REMAP_SIGTERM": "SIGQUIT"}
        with (tmp_path / f"worker{len(started)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, *command], env=environment, stdout=log, stderr=log, start_new_session=True
            )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)
