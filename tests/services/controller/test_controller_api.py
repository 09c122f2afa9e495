"""The real application on a real SQLite file and a real Redis; no worker runs, so stages stay where the API put them."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from fastapi.testclient import TestClient
from postgres import ON_BOTH

from sparring_controller.api.app import create_app
from sparring_controller.settings import ControllerSettings


@pytest.fixture
def client(settings: ControllerSettings) -> Iterator[TestClient]:
    with TestClient(create_app(settings)) as client:
        yield client


def queued(redis_url: str, queue: str) -> list[str]:
    """Stage keys that wait in a queue."""
    with redis.Redis.from_url(redis_url) as connection:
        messages: Any = connection.lrange(queue, 0, -1)
    return [json.loads(message)["headers"]["argsrepr"] for message in messages]


def test_a_run_is_made_idle_and_listed(client: TestClient, config: dict[str, Any], tmp_path: Path) -> None:
    answer = client.post("/v1/runs", json=config)
    assert answer.status_code == 201
    run = answer.json()
    assert (run["name"], run["status"], run["requested_rounds"], run["rounds"]) == ("small", "idle", 0, [])
    assert run["run_id"].startswith("small-") and len(run["run_id"]) == len("small-") + 6
    assert client.get(f"/v1/runs/{run['run_id']}").json() == run
    assert client.get("/v1/runs").json() == {"runs": [run]}
    assert (tmp_path / "runs" / run["run_id"] / "config.toml").is_file()
    assert client.get("/readyz").json() == {"status": "ready"}


@ON_BOTH
def test_posting_rounds_starts_the_base_evaluation_and_the_first_round(
    client: TestClient, config: dict[str, Any], redis_url: str
) -> None:
    run_id = client.post("/v1/runs", json=config).json()["run_id"]
    answer = client.post(f"/v1/runs/{run_id}/rounds")
    assert answer.status_code == 202
    assert answer.json() == {"run_id": run_id, "round": 1, "last_round": 1, "status": "running"}
    again = client.post(f"/v1/runs/{run_id}/rounds", json={"count": 2}).json()
    assert (again["round"], again["last_round"]) == (2, 3)
    first = client.get(f"/v1/runs/{run_id}/rounds/1").json()
    assert [stage["stage"] for stage in first["stages"]] == ["prompts", "generate", "judge", "select", "train", "evaluate"]
    assert [stage["done"] for stage in first["stages"]] == [0, 0, 0, 0, 0, 0]
    assert (first["state"], first["eta_seconds"], first["report"]) == ("running", None, None)
    assert len(queued(redis_url, "rounds")) == len(queued(redis_url, "evaluate")) == 1
    assert client.get(f"/v1/runs/{run_id}/rounds/4").status_code == 404


def test_a_wiped_redis_is_rung_again(
    client: TestClient, config: dict[str, Any], redis_url: str, eventually: Callable[[Callable[[], Any], float], Any]
) -> None:
    run_id = client.post("/v1/runs", json=config).json()["run_id"]
    client.post(f"/v1/runs/{run_id}/rounds")
    before = queued(redis_url, "rounds")
    with redis.Redis.from_url(redis_url) as connection:
        connection.flushall()
    assert eventually(lambda: queued(redis_url, "rounds"), 15) == before


@ON_BOTH
def test_the_same_post_has_its_effect_once(client: TestClient, config: dict[str, Any], tmp_path: Path) -> None:
    headers = {"Idempotency-Key": "a-key"}
    first = client.post("/v1/runs", json=config, headers=headers)
    second = client.post("/v1/runs", json=config, headers=headers)
    assert (first.status_code, second.status_code, first.json()) == (201, 201, second.json())
    other = client.post("/v1/runs", json=config | {"seed": 7}, headers=headers)
    assert other.status_code == 409
    assert other.json()["error"]["message"] == (
        "The Idempotency-Key a-key was used for another body of POST /v1/runs; choose a new key."
    )
    path = f"/v1/runs/{first.json()['run_id']}/rounds"
    answers = [client.post(path, json={"count": 2}, headers=headers).json() for _ in range(2)]
    assert answers[0] == answers[1]
    assert client.get(f"/v1/runs/{first.json()['run_id']}").json()["requested_rounds"] == 2
    assert len([path for path in (tmp_path / "runs").iterdir() if path.is_dir()]) == 1


@ON_BOTH
def test_pause_resume_and_cancel(client: TestClient, config: dict[str, Any]) -> None:
    run_id = client.post("/v1/runs", json=config).json()["run_id"]
    client.post(f"/v1/runs/{run_id}/rounds")
    assert client.post(f"/v1/runs/{run_id}/pause").json()["status"] == "paused"
    assert client.post(f"/v1/runs/{run_id}/resume").json()["status"] == "running"
    assert client.post(f"/v1/runs/{run_id}/cancel").json()["status"] == "cancelled"
    refused = client.post(f"/v1/runs/{run_id}/rounds")
    assert (refused.status_code, refused.json()["error"]["message"]) == (
        409,
        f"The run {run_id} was cancelled; start a new run.",
    )
    assert client.post(f"/v1/runs/{run_id}/pause").status_code == 409


def test_events_end_with_a_run_that_has_nothing_to_do(client: TestClient, config: dict[str, Any]) -> None:
    run = client.post("/v1/runs", json=config).json()
    with client.stream("GET", f"/v1/runs/{run['run_id']}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = list(answer.iter_lines())
    assert lines[0] == "event: run"
    assert json.loads(lines[1].removeprefix("data: ")) == run


def bad(config: dict[str, Any], table: str, **values: Any) -> dict[str, Any]:
    return config | {table: config[table] | values}


def test_bad_input_is_one_sentence_and_leaves_nothing(client: TestClient, config: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "elsewhere").mkdir()
    cases = [
        (config | {"colour": "red"}, "colour: no such key; remove it or correct its name."),
        (bad(config, "sampling", k=1), "sampling.k: Input should be greater than or equal to 2 (it is 1)."),
        (
            config | {"algorithm": {"name": "inpo"}, "selection": {"name": "all"}},
            "selection all trains every answer on its own win rate, but inpo learns from pairs; use best_worst.",
        ),
        (bad(config, "prompts", source=str(tmp_path / "empty.jsonl")), "empty.jsonl"),
        (bad(config, "prompts", per_round=500), "prompts.per_round is 500, but "),
        (bad(config, "prompts", source="/etc/secret.jsonl"), "Set SPARRING_PROMPT_ROOTS to allow another folder."),
        (
            bad(config, "prompts", heldout=None, heldout_source={"source": "/etc/a.jsonl"}),
            "prompts.heldout_source.source: /etc/a.jsonl",
        ),
        (bad(config, "policy", model="./no/such/folder"), "policy.model: there is no folder ./no/such/folder"),
        (bad(config, "policy", model=str(tmp_path / "elsewhere")), "Set SPARRING_MODEL_ROOTS to allow another folder."),
    ]
    for body, sentence in cases:
        answer = client.post("/v1/runs", json=body)
        assert answer.status_code == 422, body
        assert sentence in answer.json()["error"]["message"]
    assert client.get("/v1/runs").json() == {"runs": []}
    assert client.get("/v1/runs/nobody").json()["error"]["message"] == "There is no run nobody; GET /v1/runs lists them."


def test_bad_settings_end_with_one_sentence(tmp_path: Path) -> None:
    for command in (["-m", "sparring_controller"], ["-m", "celery", "-A", "sparring_controller.celery_app", "worker"]):
        ended = subprocess.run(
            [sys.executable, *command], env={"SPARRING_RUNS_DIR": str(tmp_path)}, capture_output=True, text=True, timeout=60
        )
        assert (ended.returncode, ended.stderr) == (2, "sparring: SPARRING_REDIS_URL: is missing.\n")
