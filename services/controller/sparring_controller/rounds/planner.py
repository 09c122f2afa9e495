"""What a run needs next, as a pure function of what the database says.

Round 0 is the evaluation of the base. Round t: `prompts`, then per shard `generate` -> `judge` -> `select` without a barrier
between shards, then `train`, then `evaluate`, while the next round already begins. Nothing here depends on which event came
first, came twice or never came: a stage is wanted once its inputs are done and as long as it is not there.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from sparring_controller.rounds.stage_results import PromptsResult, SelectResult
from sparring_controller.store.records import RunRow, RunSnapshot, StageRow, digest
from sparring_shared.wire.controller import StageName

QUEUES: dict[StageName, str] = {
    "prompts": "rounds",
    "generate": "generate",
    "judge": "judge",
    "select": "rounds",
    "train": "train",
    "evaluate": "evaluate",
}
SHARDED: Final[tuple[StageName, ...]] = ("generate", "judge", "select")


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

_LONGEST_LEASE = 600.0
"""Seconds; a live stage under a longer one is rung for in vain, which does no harm."""

_NOT_TAKEN = ("judge: ", "prompt refused")
"""How reasons begin that other answers do not mend."""


def plan(snapshot: RunSnapshot, after: StageRow | None = None) -> list[Action]:
    """What to do now: create each stage whose inputs are done and that is not there yet, or fail the run.

    With `after`, a stage that has just ended, only what can follow from it is looked at: it itself, what follows and the inputs
    of that are all that the snapshot has to hold.
    """
    if snapshot.run.control != "active":
        return []
    places = _wanted(snapshot) if after is None else _next(snapshot, after)
    possible = {
        place: inputs for place in places if not snapshot.find(*place) and (inputs := _inputs(snapshot, *place)) is not None
    }
    for reason in _failures(snapshot, possible):
        return [FailRun(reason)]
    common = _common(snapshot.run)
    return [CreateStage(_key(common, *place, inputs), *place) for place, inputs in possible.items()]


def settled(snapshot: RunSnapshot) -> bool:
    """Whether all is done that was asked for, so that nothing can follow until somebody asks for more."""
    run = snapshot.run
    return run.control == "active" and (run.requested_rounds == 0 or bool(snapshot.done(run.requested_rounds, "evaluate")))


def overdue(row: StageRow, now: float, patience: float) -> bool:
    """Whether a stage should long have been taken up by a worker: its message may be lost, or its worker is.

    `patience` is in seconds, and counted from the last time that Redis was told. A stage that waits and that Redis never was
    told of is not overdue but new; one that runs may have been claimed before it was written down that Redis was told. A
    moment that is still to come, or a lease that lasts longer than any, is of a clock that was set back.
    """
    if row.rung_at is not None and 0 <= now - row.rung_at <= patience:
        return False
    match row.state:
        case "pending" | "waiting":
            return row.rung_at is not None
        case "running":
            return not now <= row.lease_until <= now + _LONGEST_LEASE
        case _:
            return False


def place(round_number: int, stage: StageName, shard: int = 0) -> str:
    """How a stage is called in a message, e.g. `Round 2, judge`."""
    return f"Round {round_number}, {stage}" + (f" (shard {shard})" if shard else "")


_Place = tuple[int, StageName, int]


def _wanted(snapshot: RunSnapshot) -> Iterator[_Place]:
    """Every stage of the rounds that were asked for, but for rounds that are over; as many shards as are known."""
    if snapshot.run.requested_rounds:
        yield 0, "evaluate", 0
    for number in range(1, snapshot.run.requested_rounds + 1):
        if snapshot.done(number, "evaluate") is None:
            yield number, "prompts", 0
            yield from _of_round(snapshot, number)
            yield number, "evaluate", 0


def _of_round(snapshot: RunSnapshot, number: int) -> Iterator[_Place]:
    """What is made of the prompts of a round."""
    for shard in range(_shards(snapshot, number)):
        for stage in SHARDED:
            yield number, stage, shard
    yield number, "train", 0


def _next(snapshot: RunSnapshot, after: StageRow) -> Iterator[_Place]:
    """What builds on a stage, be it by way of others: one that is done again may find them done, or undone."""
    number, shard = after.round, after.shard
    match after.stage:
        case "prompts":
            yield from _of_round(snapshot, number)
        case "generate" | "judge" | "select":
            for stage in SHARDED:
                yield number, stage, shard
            yield number, "train", 0
        case "train":
            yield number, "evaluate", 0
            if number < snapshot.run.requested_rounds:
                yield number + 1, "prompts", 0
        case "evaluate":
            for later in range(number + 1, snapshot.run.requested_rounds + 1):
                yield later, "evaluate", 0


def _inputs(snapshot: RunSnapshot, number: int, stage: StageName, shard: int) -> list[StageRow] | None:
    """What a stage builds on, None as long as not all of it is done."""
    needed: list[_Place] = []
    match stage:
        case "prompts" if number > 1:
            needed = [(number - 1, "train", 0)]
        case "generate":
            needed = [(number, "prompts", 0)]
        case "judge":
            needed = [(number, "generate", shard)]
        case "select" if snapshot.done(number, "generate", shard):
            needed = [(number, "judge", shard)]
        case "select":
            return None
        case "train":
            if snapshot.done(number, "prompts") is None:
                return None
            needed = [(number, "select", each) for each in range(_shards(snapshot, number))]
        case "evaluate" if number > 0:
            needed = [(number, "train", 0), (number - 1, "evaluate", 0), (0, "evaluate", 0)]
        case _:
            pass
    done = [row for place in needed if (row := snapshot.done(*place))]
    return done if len(done) == len(needed) else None


def _shards(snapshot: RunSnapshot, number: int) -> int:
    """How many shards a round has; none as long as its prompts are not cut."""
    prompts = snapshot.done(number, "prompts")
    return len(PromptsResult.model_validate(prompts.result).files) if prompts else 0


def _failures(snapshot: RunSnapshot, possible: Mapping[_Place, list[StageRow]]) -> Iterator[str]:
    for row in snapshot.stages:
        if row.state == "failed":
            yield f"{place(row.round, row.stage, row.shard)}: {row.error}"
    for (number, stage, _), inputs in possible.items():
        if stage == "train" and not any(SelectResult.model_validate(row.result).file.rows for row in inputs):
            yield _no_pairs(snapshot, number)


def _no_pairs(snapshot: RunSnapshot, number: int) -> str:
    reasons = dropped(snapshot.of_round(number))
    listed = ", ".join(f"{reason}: {count}" for reason, count in sorted(reasons.items())) or "no prompts"
    advice = "start a run with a higher sampling.temperature, a larger sampling.k or other prompts."
    if reasons and max(reasons, key=lambda reason: reasons[reason]).startswith(_NOT_TAKEN):
        advice = "the logs of the workers say what was wrong with them; start a run that mends it."
    return f"Round {number} made no pair to train on ({listed}); {advice}"


def dropped(rows: Iterable[StageRow]) -> dict[str, int]:
    """How many prompts were left out so far in the stages of a round, by reason."""
    total: Counter[str] = Counter()
    for row in rows:
        if row.state == "done" and row.result:
            total.update(row.result.get("dropped", {}))
    return dict(sorted(total.items()))


def _common(run: RunRow) -> dict[str, object]:
    """What determines every stage of a run: its config, base, prompts and judges."""
    return {
        "run": run.run_id,
        "config": digest(run.config.model_dump(mode="json")),
        "base": run.base.digest,
        "prompts": run.prompts and run.prompts.model_dump(mode="json"),
        "judges": run.judge and {name: judge.ref.model_dump() for name, judge in run.judge.pinned.items()},
    }


def _key(common: Mapping[str, object], number: int, stage: StageName, shard: int, inputs: list[StageRow]) -> str:
    """sha256 of all that determines a stage: what all of its run share, round, shard and the results before it."""
    own = {"stage": stage, "round": number, "shard": shard, "inputs": [row.result_digest for row in inputs]}
    return digest({**common, **own})
