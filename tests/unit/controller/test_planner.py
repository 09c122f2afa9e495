import random
from typing import Any

import pytest
from rows import RESULTS, file, snapshot, stage

from sparring_controller.rounds.planner import CreateStage, FailRun, overdue, plan
from sparring_controller.store.records import RunSnapshot, StageRow


def wanted(run: RunSnapshot) -> list[tuple[int, str, int]]:
    """Round, stage and shard of what the planner creates."""
    actions = plan(run)
    assert all(isinstance(action, CreateStage) for action in actions), actions
    return [(action.round, action.stage, action.shard) for action in actions if isinstance(action, CreateStage)]


def failure(run: RunSnapshot) -> str:
    (action,) = plan(run)
    assert isinstance(action, FailRun)
    return action.error


SELECTED = tuple(stage(1, name, shard) for name in ("generate", "judge", "select") for shard in (0, 1))


def test_nothing_happens_before_a_round_is_asked_for() -> None:
    assert plan(snapshot(requested_rounds=0)) == []


def test_the_first_round_begins_with_the_base_and_the_prompts() -> None:
    assert wanted(snapshot()) == [(0, "evaluate", 0), (1, "prompts", 0)]


def test_shards_stream_without_a_barrier() -> None:
    base = stage(0, "evaluate", state="running")
    prompts = stage(1, "prompts")
    assert wanted(snapshot(base, prompts)) == [(1, "generate", 0), (1, "generate", 1)]
    ahead = (stage(1, "generate", 0), stage(1, "judge", 0), stage(1, "generate", 1, state="running"))
    assert wanted(snapshot(base, prompts, *ahead)) == [(1, "select", 0)]
    judging = (*ahead[:2], stage(1, "select", 0), stage(1, "generate", 1), stage(1, "judge", 1, state="running"))
    assert wanted(snapshot(base, prompts, *judging)) == []


def test_training_waits_for_the_last_pair_and_only_once() -> None:
    begun = (stage(0, "evaluate"), stage(1, "prompts"), *SELECTED)
    assert wanted(snapshot(*begun[:-1], stage(1, "select", 1, state="running"))) == []
    assert wanted(snapshot(*begun)) == [(1, "train", 0)]
    assert wanted(snapshot(*begun, stage(1, "train", state="waiting"))) == []


def test_the_next_round_begins_while_the_last_is_evaluated() -> None:
    trained = (stage(0, "evaluate"), stage(1, "prompts"), *SELECTED, stage(1, "train"))
    assert wanted(snapshot(*trained)) == [(1, "evaluate", 0)]
    assert wanted(snapshot(*trained, requested_rounds=2)) == [(1, "evaluate", 0), (2, "prompts", 0)]


def test_an_evaluation_waits_for_the_answers_that_it_compares_with() -> None:
    trained = (stage(1, "prompts"), *SELECTED, stage(1, "train"))
    assert wanted(snapshot(stage(0, "evaluate", state="pending"), *trained)) == []


@pytest.mark.parametrize("control", ["paused", "failed", "cancelled"])
def test_a_run_that_is_not_active_gets_nothing(control: str) -> None:
    assert plan(snapshot(stage(1, "prompts", state="failed", error="No."), control=control)) == []


def test_a_failed_stage_fails_the_run_with_its_sentence() -> None:
    run = snapshot(stage(0, "evaluate"), stage(1, "prompts"), stage(1, "judge", 1, state="failed", error="The judge is dead."))
    assert failure(run) == "Round 1, judge (shard 1): The judge is dead."


def without_pairs(**dropped: int) -> list[StageRow]:
    """The stages of a round whose selection left nothing."""
    result = RESULTS["select"] | {"file": file(rows=0)} | ({"dropped": dropped} if dropped else {})
    return [row.model_copy(update={"result": result}) if row.stage == "select" else row for row in SELECTED]


def test_a_round_without_pairs_fails_the_run_with_the_reasons() -> None:
    barren = without_pairs()
    assert failure(snapshot(stage(0, "evaluate"), stage(1, "prompts"), *barren)) == (
        "Round 1 made no pair to train on (prompt too long: 2, tied: 4); start a run with a higher sampling.temperature, "
        "a larger sampling.k or other prompts."
    )
    refused = without_pairs(**{"judge: invalid_input": 9})
    assert (failure(snapshot(stage(0, "evaluate"), stage(1, "prompts"), *refused)) or "").endswith(
        "; the logs of the workers say what was wrong with them; start a run that mends it."
    )


def test_keys_depend_on_all_that_determines_a_stage() -> None:
    keys = [action.key for action in plan(snapshot(stage(1, "prompts"))) if isinstance(action, CreateStage)]
    other_input = stage(1, "prompts", result={"files": [file(rows=7), file()]})
    others = [action.key for action in plan(snapshot(other_input)) if isinstance(action, CreateStage)]
    assert len(set(keys)) == 3
    assert keys[0] == others[0]
    assert not set(keys[1:]) & set(others[1:])
    assert plan(snapshot()) == plan(snapshot())
    assert plan(snapshot())[0] != plan(snapshot(run_id="small-2"))[0]


@pytest.mark.parametrize("rounds", [1, 2, 3])
@pytest.mark.parametrize("seed", range(20))
def test_whatever_the_order_of_events_the_same_stages_are_created_once(seed: int, rounds: int) -> None:
    """Stages end in any order; plans are made twice over, or only now and then."""
    order = random.Random(seed)
    rows: dict[str, StageRow] = {}
    for _ in range(2000):
        for action in plan(snapshot(*rows.values(), requested_rounds=rounds)) * order.choice((0, 1, 2)):
            assert isinstance(action, CreateStage)
            made = stage(action.round, action.stage, action.shard, state="pending", key=action.key)
            rows.setdefault(action.key, made)
        open_rows = [row for row in rows.values() if row.state != "done"]
        if open_rows:
            ended = order.choice(open_rows)
            rows[ended.key] = stage(ended.round, ended.stage, ended.shard, key=ended.key)
        if all(row.state == "done" for row in rows.values()) and not plan(_all(rows, rounds)):
            break
    places = sorted((row.round, row.stage, row.shard) for row in rows.values())
    per_round = [("evaluate", 0), ("generate", 0), ("generate", 1), ("judge", 0), ("judge", 1), ("prompts", 0)]
    per_round += [("select", 0), ("select", 1), ("train", 0)]
    assert places == [(0, "evaluate", 0)] + [(number, *place) for number in range(1, rounds + 1) for place in per_round]


def _all(rows: dict[str, StageRow], rounds: int) -> RunSnapshot:
    return snapshot(*rows.values(), requested_rounds=rounds)


@pytest.mark.parametrize(
    ("values", "late"),
    [
        ({"state": "pending", "rung_at": None}, False),
        ({"state": "pending", "rung_at": 95.0}, False),
        ({"state": "pending", "rung_at": 80.0}, True),
        ({"state": "running", "rung_at": 80.0, "lease_until": 101.0}, False),
        ({"state": "running", "rung_at": 80.0, "lease_until": 99.0}, True),
        ({"state": "running", "rung_at": 95.0, "lease_until": 99.0}, False),
        ({"state": "running", "rung_at": None, "lease_until": 101.0}, False),
        ({"state": "running", "rung_at": None, "lease_until": 99.0}, True),
        ({"state": "waiting", "rung_at": 80.0}, True),
        ({"state": "waiting", "rung_at": 95.0}, False),
        ({"state": "pending", "rung_at": 3700.0}, True),
        ({"state": "running", "rung_at": 80.0, "lease_until": 3730.0}, True),
        ({"state": "failed", "rung_at": 0.0}, False),
        ({"state": "done", "rung_at": 0.0}, False),
    ],
)
def test_what_is_overdue_after_ten_seconds(values: dict[str, Any], late: bool) -> None:
    assert overdue(stage(1, "judge", **values), now=100.0, patience=10.0) is late
