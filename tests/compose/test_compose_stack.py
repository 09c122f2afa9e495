"""The system that `docker compose up -d --wait` brings up: it judges, plays rounds, and outlives its containers."""

import json
import os
import subprocess
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from composed import compose, containers, docker, inspected

pytestmark = pytest.mark.usefixtures("stack")

SERVICES = ("redis", "controller", "worker-rounds", "worker-generate", "worker-judge", "generator", "judge", "trainer")
CONTROLLER = f"http://127.0.0.1:{os.environ.get('SPARRING_CONTROLLER_PORT', '8000')}"
JUDGE = f"http://127.0.0.1:{os.environ.get('SPARRING_JUDGE_PORT', '8002')}"
CRASH = "import os, signal; os.kill(-1, signal.SIGKILL)"
RUN = {
    "policy": {"model": "models/demo-policy"},
    "prompts": {"source": "prompts/small-world.jsonl", "heldout": 0.25, "per_round": 40},
    "sampling": {"k": 4, "max_tokens": 24, "shard_size": 10},
    "algorithm": {"name": "sppo", "eta": 10.0},
    "training": {"learning_rate": 3e-4, "optimizer": "adamw", "batch_size": 16, "precision": "fp32"},
    "evaluation": {"prompts": 24, "checker": "small-world"},
}


def start(name: str, rounds: int) -> str:
    """Make a run and have rounds played; its id."""
    made = httpx.post(f"{CONTROLLER}/v1/runs", json={"name": name, "rounds": rounds, **RUN}, timeout=60)
    assert made.status_code == 201, made.text
    run_id = made.json()["run_id"]
    assert httpx.post(f"{CONTROLLER}/v1/runs/{run_id}/rounds", json={"count": rounds}, timeout=60).status_code == 202
    return run_id


def until(run_id: str, reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The run's status once it is as wanted; the deadline bounds a run that hangs."""
    deadline = time.monotonic() + 420
    while True:
        status = httpx.get(f"{CONTROLLER}/v1/runs/{run_id}", timeout=60).raise_for_status().json()
        assert status["status"] != "failed", status["error"]
        if reached(status):
            return status
        assert time.monotonic() < deadline, json.dumps(status, indent=1)
        time.sleep(0.5)


def begun(number: int, stage: str) -> Callable[[dict[str, Any]], bool]:
    """Whether a stage of a round is being worked on, or more."""
    return lambda status: any(
        found["done"] + found["running"] > 0
        for played in status["rounds"]
        if played["round"] == number
        for found in played["stages"]
        if found["stage"] == stage
    )


def healthy(service: str) -> dict[str, Any]:
    """What the engine says of a service's container once it is healthy again."""
    deadline = time.monotonic() + 180
    while True:
        found = inspected(service)
        if found["State"]["Status"] == "running" and found["State"]["Health"]["Status"] == "healthy":
            return found
        assert time.monotonic() < deadline, found["State"]
        time.sleep(0.5)


def crash(service: str) -> None:
    """Kill everything in a container but its init, which then ends, as when the kernel kills a process."""
    container = containers(service)[0]
    # The command ends with the container, so how it ends says nothing.
    subprocess.run(["docker", "exec", container, "python", "-c", CRASH], capture_output=True, timeout=60, check=False)


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_is_healthy_and_confined(service: str) -> None:
    found = healthy(service)
    assert found["Config"]["User"] in ("10001:10001", "999:999")
    assert found["HostConfig"]["ReadonlyRootfs"] is True


def test_the_judge_answers_on_this_machine() -> None:
    item = {"prompt": "Which of these is a fruit: plum, saw?", "candidates": ["plum is a fruit.", "saw is a fruit."]}
    answer = httpx.post(f"{JUDGE}/v1/rank", json={"items": [item]}, timeout=60).raise_for_status().json()
    assert answer["items"][0]["ranks"] == [1, 2]


def test_two_rounds_while_containers_are_killed() -> None:
    crashed = ("judge", "trainer", "worker-rounds")
    before = {service: healthy(service)["RestartCount"] for service in crashed}
    run_id = start("killed", 2)
    until(run_id, begun(1, "generate"))
    crash("judge")
    (worker,) = containers("worker-generate")
    docker("kill", "--signal", "KILL", worker)  # the engine leaves down what was killed by its own command
    compose("up", "--detach", "--no-build", "worker-generate")
    until(run_id, begun(1, "train"))
    crash("worker-rounds")
    crash("trainer")
    status = until(run_id, lambda status: status["status"] == "done")
    assert status["completed_rounds"] == 2
    assert [played["report"]["pairs"] > 0 for played in status["rounds"] if played["round"] > 0] == [True, True]
    assert {service: healthy(service)["RestartCount"] - before[service] for service in crashed} == dict.fromkeys(crashed, 1)
    folders = docker(
        "exec",
        containers("controller")[0],
        "python",
        "-c",
        f"import os; print(*sorted(os.listdir('runs/{run_id}/checkpoints')))",
    )
    assert folders.split() == ["1", "2"]


def test_no_log_tells_a_password() -> None:
    assert os.environ["SPARRING_REDIS_PASSWORD"] not in compose("logs", "--no-color")


def test_with_postgres_and_more_workers() -> None:
    files = ("docker-compose.yml", "compose.postgres.yml", "compose.workers.yml")
    compose("up", "--detach", "--no-build", "--wait", "--wait-timeout", "300", files=files, timeout=360)
    assert [len(containers(f"worker-{queues}")) for queues in ("rounds", "generate", "judge")] == [2, 4, 2]
    listed = httpx.get(f"{CONTROLLER}/v1/runs", timeout=60).raise_for_status().json()
    assert listed["runs"] == []  # the runs of the SQLite file stay there
    run_id = start("postgres", 1)
    assert until(run_id, lambda status: status["status"] == "done")["completed_rounds"] == 1
    assert os.environ["SPARRING_POSTGRES_PASSWORD"] not in compose("logs", "--no-color", files=files)
