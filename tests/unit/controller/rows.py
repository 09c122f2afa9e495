"""Literal runs and stages."""

from typing import Any

from sparring_controller.store.records import RunRow, RunSnapshot, StageRow
from sparring_shared.run_config import RunConfig
from sparring_shared.wire.trainer import CheckpointRef

CONFIG = RunConfig.model_validate(
    {"name": "small", "rounds": 2, "policy": {"model": "base"}, "prompts": {"source": "prompts.jsonl"}}
)
BASE = CheckpointRef(version=0, digest="sha256:00", path="/models/base")


def run(**values: Any) -> RunRow:
    return RunRow.model_validate(
        {"run_id": "small-1", "name": "small", "created_at": 1000.0, "config": CONFIG, "base": BASE, "requested_rounds": 1}
        | values
    )


def file(rows: int = 1) -> dict[str, Any]:
    return {"path": "x.parquet", "sha256": "ab", "rows": rows}


RESULTS: dict[str, dict[str, Any]] = {
    "prompts": {"files": [file(), file()]},
    "generate": {"file": file(), "dropped": {"prompt too long": 1}},
    "judge": {"file": file(), "dropped": {}, "candidates": 6, "truncated": 3},
    "select": {"file": file(), "dropped": {"tied": 2}},
    "train": {"checkpoint": {"version": 1, "digest": "sha256:11", "path": "/runs/1"}, "metrics": {}},
    "evaluate": {"answers": file(), "report": {"round": 0}},
}


def stage(round_number: int, name: str, shard: int = 0, state: str = "done", **values: Any) -> StageRow:
    """A stage; one that is done has a result of its kind and took 2 s."""
    done = {"result": RESULTS[name], "seconds": 2.0} if state == "done" else {}
    place = {"key": f"{round_number}-{name}-{shard}", "run_id": "small-1", "round": round_number}
    return StageRow.model_validate({**place, "stage": name, "shard": shard, "state": state, **done, **values})


def snapshot(*stages: StageRow, **values: Any) -> RunSnapshot:
    return RunSnapshot(run=run(**values), stages=stages)
