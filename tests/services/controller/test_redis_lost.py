"""Redis rings and nothing more: it may die, begin anew empty or stand still, and no worker dies of it, no run stands still."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest
import redis
from below import Below
from fastapi.testclient import TestClient
from redis_process import RedisProcess

from sparring_controller.api.app import create_app
from sparring_controller.rounds.doorbell import Doorbell
from sparring_controller.settings import read_settings
from sparring_controller.store import runs
from sparring_controller.store.database import Database
from sparring_shared.errors import Unavailable

Poll = Callable[[Callable[[], Any], float], Any]
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def client(own_redis: RedisProcess) -> Iterator[TestClient]:
    """The controller with its reconciler, on a Redis of the test's own."""
    with TestClient(create_app(read_settings())) as made:
        yield made


def test_a_worker_outlives_redis_while_stages_wait(
    client: TestClient, own_redis: RedisProcess, below: Below, config: dict[str, Any], start_worker: Start, eventually: Poll
) -> None:
    below.looks_until_done = 1_000_000
    run_id = _play(client, config)
    worker = start_worker()
    eventually(lambda: _looks(below) > 2, 90)
    for _ in range(3):
        own_redis.kill()
        own_redis.start()
        seen = _looks(below)
        eventually(lambda seen=seen: _looks(below) > seen + 1, 30)
    below.looks_until_done = 1
    _ends_well(client, run_id, eventually)
    assert worker.poll() is None


def test_a_stage_that_is_under_way_when_redis_dies_is_finished_by_its_worker(
    client: TestClient, own_redis: RedisProcess, below: Below, config: dict[str, Any], start_worker: Start, eventually: Poll
) -> None:
    below.answers_may_go.clear()
    run_id = _play(client, config)
    worker = start_worker()
    eventually(below.answering.is_set, 90)
    under_way = [row.key for row in _rows(run_id) if row.state == "running"]
    own_redis.kill()
    own_redis.start()
    time.sleep(2)  # long enough for the worker to be there again
    below.answers_may_go.set()
    _ends_well(client, run_id, eventually)
    assert worker.poll() is None
    assert {row.token for row in _rows(run_id) if row.key in under_way} == {1}


def test_messages_that_redis_forgets_are_sent_again(
    client: TestClient, own_redis: RedisProcess, below: Below, config: dict[str, Any], start_worker: Start, eventually: Poll
) -> None:
    run_id = _play(client, config)
    eventually(lambda: all(row.rung_at for row in _rows(run_id)), 20)
    with redis.Redis.from_url(own_redis.url) as connection:
        connection.flushall()
    start_worker()
    _ends_well(client, run_id, eventually)


def test_a_redis_that_stands_still_holds_nobody_up(own_redis: RedisProcess) -> None:
    doorbell = Doorbell(own_redis.url)
    doorbell.ring("known", "judge")
    own_redis.stand_still()
    for ask in (lambda: doorbell.ring("key", "judge"), lambda: doorbell.quiet("judge"), doorbell.ping):
        began = time.monotonic()
        with pytest.raises(Unavailable, match=r"^Redis at 127.0.0.1:\d+ does not answer \(\w+\); is it running\?$"):
            ask()
        assert time.monotonic() - began < 15
    own_redis.go_on()
    doorbell.ring("key", "judge")
    assert not doorbell.quiet("judge")
    doorbell.close()


def test_rounds_are_taken_and_played_though_redis_stood_still(
    client: TestClient, own_redis: RedisProcess, below: Below, config: dict[str, Any], start_worker: Start, eventually: Poll
) -> None:
    worker = start_worker()
    eventually(lambda: _queues(own_redis), 60)
    own_redis.stand_still()
    began = time.monotonic()
    run_id = _play(client, config)
    assert time.monotonic() - began < 20
    assert client.get(f"/v1/runs/{run_id}").json()["status"] == "running"
    own_redis.go_on()
    _ends_well(client, run_id, eventually)
    assert worker.poll() is None


def test_a_child_that_is_killed_is_replaced_and_its_stage_done_again(
    client: TestClient, below: Below, config: dict[str, Any], start_worker: Start, eventually: Poll
) -> None:
    below.answers_may_go.clear()
    run_id = _play(client, config)
    worker = start_worker()
    eventually(below.answering.is_set, 90)
    for child in psutil.Process(worker.pid).children():
        os.kill(child.pid, signal.SIGKILL)
    below.answers_may_go.set()
    _ends_well(client, run_id, eventually)
    assert worker.poll() is None
    assert sorted(row.lapses for row in _rows(run_id))[-2:] == [0, 1]


def _queues(server: RedisProcess) -> bool:
    """Whether a worker listens."""
    with redis.Redis.from_url(server.url) as connection:
        return bool(connection.keys("_kombu.binding.judge"))


def _play(client: TestClient, config: dict[str, Any]) -> str:
    run_id = client.post("/v1/runs", json=config).json()["run_id"]
    assert client.post(f"/v1/runs/{run_id}/rounds").status_code == 202
    return run_id


def _looks(below: Below) -> int:
    return sum(call.startswith("GET /v1/jobs/") for call in below.calls)


def _rows(run_id: str) -> Any:
    database = Database(read_settings().database)
    with database.reading() as connection:
        found = runs.snapshot(connection, run_id).stages
    database.close()
    return found


def _ends_well(client: TestClient, run_id: str, eventually: Poll) -> None:
    status = eventually(lambda: _ended(client, run_id), 90)
    assert (status["status"], status["completed_rounds"], status["error"]) == ("idle", 1, None)


def _ended(client: TestClient, run_id: str) -> Any:
    status = client.get(f"/v1/runs/{run_id}").json()
    return None if status["status"] == "running" else status
