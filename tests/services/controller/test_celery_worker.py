"""Real Celery workers on a real Redis: one is killed in a stage, another finishes it, once; and their heartbeat."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from below import Below
from fastapi.testclient import TestClient

from sparring_controller.api.app import create_app
from sparring_controller.settings import ControllerSettings
from sparring_controller.store import runs
from sparring_controller.store.database import Database

Poll = Callable[[Callable[[], Any], float], Any]
Start = Callable[..., subprocess.Popen[bytes]]


def test_a_run_survives_the_kill_of_its_worker(
    settings: ControllerSettings,
    below: Below,
    config: dict[str, Any],
    tmp_path: Path,
    start_worker: Start,
    eventually: Poll,
) -> None:
    with TestClient(create_app(settings)) as client:
        run_id = client.post("/v1/runs", json=config).json()["run_id"]
        below.answers_may_go.clear()
        client.post(f"/v1/runs/{run_id}/rounds")
        first = start_worker()
        eventually(below.answering.is_set, 60)
        os.killpg(first.pid, signal.SIGKILL)
        first.wait(20)
        interrupted = [row for row in _rows(settings, run_id) if row.state == "running"]
        assert [row.token for row in interrupted] == [1]
        below.answers_may_go.set()
        start_worker()
        status = eventually(lambda: _ended(client, run_id), 90)
    assert (status["status"], status["completed_rounds"], status["error"]) == ("idle", 1, None)
    after = {row.key: row for row in _rows(settings, run_id)}
    survivor = after[interrupted[0].key]
    assert (survivor.state, survivor.token, survivor.lapses, survivor.attempt) == ("done", 2, 1, 0)
    assert {row.state for row in after.values()} == {"done"}
    commits = [
        line for log in tmp_path.glob("worker*.log") for line in log.read_text().splitlines() if " is done (token " in line
    ]
    assert len(commits) == len(after)


def test_a_worker_shows_that_it_hears_redis_and_that_it_lives(
    settings: ControllerSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start_worker: Start, eventually: Poll
) -> None:
    heartbeat = tmp_path / "heartbeat"
    monkeypatch.setenv("SPARRING_HEARTBEAT_FILE", str(heartbeat))
    start_worker()
    eventually(heartbeat.exists, 60)
    os.utime(heartbeat, (0, 0))
    eventually(lambda: heartbeat.stat().st_mtime > 0, 60)
    eventually((tmp_path / "heartbeat.alive").exists, 60)


def _rows(settings: ControllerSettings, run_id: str) -> Any:
    database = Database(settings.database)
    with database.reading() as connection:
        found = runs.snapshot(connection, run_id).stages
    database.close()
    return found


def _ended(client: TestClient, run_id: str) -> Any:
    status = client.get(f"/v1/runs/{run_id}").json()
    return None if status["status"] == "running" else status
