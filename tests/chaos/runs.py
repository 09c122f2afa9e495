"""The runs that are disturbed: two at once, long enough to be hit in every stage."""

import json
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from chaos.worlds import PROXIED, ROOT, World, WorldName
from sparring_controller.demo.small_world import Split, prompts

SEEDS = (1, 2)


def config(world: WorldName, folder: Path, seed: int, rounds: int) -> dict[str, Any]:
    """One of the two runs as JSON."""
    common = {
        "name": f"chaos-{seed}",
        "rounds": rounds,
        "seed": seed,
        "deterministic": True,
        "judge": {"service": PROXIED},
        "algorithm": {"name": "sppo", "eta": 10.0},
    }
    source = str(folder / "prompts.jsonl")
    if world == "small":
        return common | {
            "policy": {"model": str(folder / "models" / "base")},
            "prompts": {"source": source, "heldout": 0.3, "per_round": 40},
            "sampling": {"k": 3, "max_tokens": 8, "shard_size": 10},
            "evaluation": {"prompts": 12},
        }
    training = {"learning_rate": 3e-4, "optimizer": "adamw", "batch_size": 8, "train_epochs": 4, "precision": "fp32"}
    return common | {
        "policy": {"model": str(ROOT / "models" / "demo-policy")},
        "prompts": {"source": source, "heldout": 0.25, "per_round": 120},
        "sampling": {"k": 8, "max_tokens": 40, "shard_size": 60},
        "training": training | {"max_length": 128, "max_prompt_length": 64},
        "evaluation": {"prompts": 60, "checker": "small-world"},
    }


def write_prompts(folder: Path) -> None:
    """The prompts that both runs play."""
    lines = [json.dumps({"prompt": prompt}) for prompt in prompts(Split.SELFPLAY, 400, 3)]
    (folder / "prompts.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def patiently(world: World, method: str, path: str, body: Any = None, key: str | None = None) -> Any:
    """Ask the controller, which may just have been killed; a POST has a key, so that it counts once."""
    deadline = time.monotonic() + 120
    while True:
        try:
            headers = {} if key is None else {"Idempotency-Key": key}
            answer = world.http.request(method, path, json=body, headers=headers)
            if answer.status_code < 500:
                return answer.raise_for_status().json()
            said = answer.text
        except httpx.TransportError as error:
            said = repr(error)
        if time.monotonic() > deadline:
            raise TimeoutError(f"{method} {path}: {said}")
        time.sleep(0.2)


def start(world: World, key: str, rounds: int) -> list[str]:
    """Begin the two runs under a key of their own; returns their ids, in the order of SEEDS."""
    ids: list[str] = []
    for seed in SEEDS:
        body = config(world.name, world.runs_dir, seed, rounds)
        ids.append(patiently(world, "POST", "/v1/runs", body, f"make-{key}-{seed}")["run_id"])
        patiently(world, "POST", f"/v1/runs/{ids[-1]}/rounds", {"count": rounds}, f"play-{key}-{seed}")
    return ids


def status(world: World, run_id: str) -> dict[str, Any]:
    """The run as its API tells it."""
    return patiently(world, "GET", f"/v1/runs/{run_id}")


def cancel(world: World, ids: Sequence[str]) -> None:
    """End runs that went wrong, so that those of the next scenario are alone."""
    for run_id in ids:
        patiently(world, "POST", f"/v1/runs/{run_id}/cancel")


def stages(database: Path, ids: Sequence[str]) -> list[dict[str, Any]]:
    """All rows of the table of stages, of these runs."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=60)
    connection.row_factory = sqlite3.Row
    try:
        found = connection.execute("SELECT * FROM stages ORDER BY run_id, round, stage, shard")
        return [dict(row) for row in found if row["run_id"] in ids]
    finally:
        connection.close()
