"""What a run needs next, as a pure function of what the database says.

Round 0 is the evaluation of the base. Round t: `prompts`, then per shard `generate` -> `judge` -> `select` without a barrier
between shards, then `train`, then `evaluate`, while the next round already begins. Nothing here depends on which event came
first, came twice or never came: a plan is always made from the whole state.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from sparring_controller.rounds.stage_results import PromptsResult, SelectResult
from sparring_controller.store.records import RunRow, RunSnapshot, StageRow
from sparring_shared.wire.controller import StageName

QUEUES: dict[StageName, str] = {
    "prompts": "rounds",
    "generate": "generate",
    "judge": "judge",
    "select": "rounds",
    "train": "train",
    "evaluate": "evaluate",
}


@dataclass(frozen=True)
class CreateStage:
    """A stage whose inputs are all there."""

    key: str
    round: int
    stage: StageName
    shard: int


@dataclass(frozen=True)
class FailRun:
    """The run cannot go on; `error` says why in one sentence."""

    error: str


Action = CreateStage | FailRun

_NOT_TAKEN = ("judge: ", "prompt refused")
"""How reasons begin that other answers do not mend."""


def plan(snapshot: RunSnapshot) -> list[Action]:
    """What to do now: create each stage whose inputs are done and that is not there yet, or fail the run."""
    if snapshot.run.control != "active":
        return []
    for reason in _failures(snapshot):
        return [FailRun(reason)]
    return [
        CreateStage(_key(snapshot.run, round_number, stage, shard, inputs), round_number, stage, shard)
        for round_number, stage, shard, inputs in _possible(snapshot)
        if snapshot.find(round_number, stage, shard) is None
    ]


def overdue(row: StageRow, now: float, patience: float) -> bool:
    """Whether a stage should long have been taken up by a worker: its message may be lost, or its worker is.

    `patience` is in seconds, and counted from the last time that Redis was told. A stage that waits and that Redis never was
    told of is not overdue but new; one that runs may have been claimed before it was written down that Redis was told.
    """
    if row.rung_at is not None and now - row.rung_at <= patience:
        return False
    match row.state:
        case "pending" | "waiting":
            return row.rung_at is not None
        case "running":
            return row.lease_until < now
        case _:
            return False


def place(round_number: int, stage: StageName, shard: int = 0) -> str:
    """How a stage is called in a message, e.g. `Round 2, judge`."""
    return f"Round {round_number}, {stage}" + (f" (shard {shard})" if shard else "")


_Possible = tuple[int, StageName, int, list[StageRow]]


def _possible(snapshot: RunSnapshot) -> Iterator[_Possible]:
    """Every stage whose inputs are done, with these inputs."""
    if snapshot.run.requested_rounds:
        yield 0, "evaluate", 0, []
    trained: StageRow | None = None
    for number in range(1, snapshot.run.requested_rounds + 1):
        yield from _round(snapshot, number, trained)
        trained = snapshot.done(number, "train")
        if trained is None:
            return


def _round(snapshot: RunSnapshot, number: int, trained: StageRow | None) -> Iterator[_Possible]:
    yield number, "prompts", 0, [trained] if trained else []
    prompts = snapshot.done(number, "prompts")
    if prompts is None:
        return
    shards = range(len(PromptsResult.model_validate(prompts.result).files))
    for shard in shards:
        yield number, "generate", shard, [prompts]
        if generated := snapshot.done(number, "generate", shard):
            yield number, "judge", shard, [generated]
            if judged := snapshot.done(number, "judge", shard):
                yield number, "select", shard, [judged]
    selected = [row for shard in shards if (row := snapshot.done(number, "select", shard))]
    if len(selected) == len(shards):
        yield number, "train", 0, selected
    before = [snapshot.done(number, "train"), snapshot.done(number - 1, "evaluate"), snapshot.done(0, "evaluate")]
    inputs = [row for row in before if row]
    if len(inputs) == len(before):
        yield number, "evaluate", 0, inputs


def _failures(snapshot: RunSnapshot) -> Iterator[str]:
    for row in snapshot.stages:
        if row.state == "failed":
            yield f"{place(row.round, row.stage, row.shard)}: {row.error}"
    for number, stage, _, inputs in _possible(snapshot):
        if stage == "train" and snapshot.find(number, "train") is None:
            results = [SelectResult.model_validate(row.result) for row in inputs]
            if not any(result.file.rows for result in results):
                yield _no_pairs(snapshot, number)


def _no_pairs(snapshot: RunSnapshot, number: int) -> str:
    reasons = dropped(snapshot, number)
    listed = ", ".join(f"{reason}: {count}" for reason, count in sorted(reasons.items())) or "no prompts"
    advice = "start a run with a higher sampling.temperature, a larger sampling.k or other prompts."
    if reasons and max(reasons, key=lambda reason: reasons[reason]).startswith(_NOT_TAKEN):
        advice = "the logs of the workers say what was wrong with them; start a run that mends it."
    return f"Round {number} made no pair to train on ({listed}); {advice}"


def dropped(snapshot: RunSnapshot, number: int) -> dict[str, int]:
    """How many prompts of a round were left out so far, by reason, over all its shards and stages."""
    total: Counter[str] = Counter()
    for row in snapshot.of_round(number):
        if row.state == "done" and row.result:
            total.update(row.result.get("dropped", {}))
    return dict(sorted(total.items()))


def _key(run: RunRow, number: int, stage: StageName, shard: int, inputs: list[StageRow]) -> str:
    """sha256 of all that determines a stage: run, config, base, prompts, judges, round, shard and the results before it."""
    determined_by = {
        "stage": stage,
        "run": run.run_id,
        "config": _digest(run.config.model_dump(mode="json")),
        "base": run.base.digest,
        "prompts": run.prompts and run.prompts.model_dump(mode="json"),
        "judges": run.judge and {name: judge.ref.model_dump() for name, judge in run.judge.pinned.items()},
        "round": number,
        "shard": shard,
        "inputs": [_digest(row.result) for row in inputs],
    }
    return _digest(determined_by)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
