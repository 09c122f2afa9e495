"""A worker that hangs: its stage is done by another, once, and it is ended itself where nothing else would."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from below import Below
from fastapi.testclient import TestClient

from sparring_controller.api.app import create_app
from sparring_controller.rounds.signs_of_life import SignsOfLife, end_silent_children
from sparring_controller.settings import ControllerSettings, read_settings

Poll = Callable[[Callable[[], Any], float], Any]
Start = Callable[..., subprocess.Popen[bytes]]


def test_a_process_at_work_that_gives_no_sign_is_silent_and_one_at_rest_is_not() -> None:
    signs = SignsOfLife()
    assert signs.silent(0) == []
    with signs.at_work():
        assert signs.silent(60) == []
        assert signs.silent(0) == [os.getpid()]
    assert signs.silent(0) == []


def test_only_a_child_of_ours_is_ended() -> None:
    signs = SignsOfLife()
    with signs.at_work():
        assert end_silent_children(signs, 0) == []  # this very process is none of its own children
        assert signs.silent(0) == []


def test_a_stage_that_hangs_is_ended_with_its_process_and_done_again(
    settings: ControllerSettings,
    below: Below,
    config: dict[str, Any],
    tmp_path: Path,
    start_worker: Start,
    eventually: Poll,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("SAMPLING", "JUDGING", "TRAINER"):
        monkeypatch.setenv(f"SPARRING_{name}_SECONDS", "2")
    with TestClient(create_app(read_settings())) as client:
        below.answers_may_go.clear()
        run_id = _play(client, config)
        worker = start_worker()
        eventually(below.answering.is_set, 60)
        [child] = psutil.Process(worker.pid).children()
        child.send_signal(signal.SIGSTOP)
        below.answers_may_go.set()
        _ends_well(client, run_id, eventually)
        assert worker.poll() is None and not child.is_running()
    assert f"process {child.pid} gave no sign of life for 8 s" in (tmp_path / "worker0.log").read_text()


def test_a_worker_that_was_stopped_beyond_its_lease_commits_nothing(
    settings: ControllerSettings,
    below: Below,
    config: dict[str, Any],
    tmp_path: Path,
    start_worker: Start,
    eventually: Poll,
) -> None:
    with TestClient(create_app(settings)) as client:
        below.answers_may_go.clear()
        run_id = _play(client, config)
        stopped = start_worker()
        eventually(below.answering.is_set, 60)
        os.killpg(stopped.pid, signal.SIGSTOP)
        below.answers_may_go.set()
        start_worker()
        _ends_well(client, run_id, eventually)
        os.killpg(stopped.pid, signal.SIGCONT)
        eventually(lambda: "fenced off" in (tmp_path / "worker0.log").read_text(), 30)
        _ends_well(client, run_id, eventually)
    logs = [path.read_text() for path in sorted(tmp_path.glob("worker*.log"))]
    shards = [[line for line in log.splitlines() if "generate of run" in line and "is done" in line] for log in logs]
    assert [len(done) for done in shards] == [0, 3]


def _play(client: TestClient, config: dict[str, Any]) -> str:
    run_id = client.post("/v1/runs", json=config).json()["run_id"]
    assert client.post(f"/v1/runs/{run_id}/rounds").status_code == 202
    return run_id


def _ends_well(client: TestClient, run_id: str, eventually: Poll) -> None:
    status = eventually(lambda: _ended(client, run_id), 90)
    assert (status["status"], status["completed_rounds"], status["error"]) == ("idle", 1, None)


def _ended(client: TestClient, run_id: str) -> Any:
    status = client.get(f"/v1/runs/{run_id}").json()
    return None if status["status"] == "running" else status
