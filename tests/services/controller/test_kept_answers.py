"""What has come of a shard's answers is kept when one request fails, and used for the same question alone."""

import json
from collections import Counter
from typing import Any

import pytest
from below import Below
from playing import hurry, play, rows, start

from sparring_controller.api.controller import Controller
from sparring_controller.rounds.worker import Worker
from sparring_controller.store import runs
from sparring_controller.store.records import StageRow
from sparring_shared.artifacts import read_records
from sparring_shared.errors import Broken, SparringError, Unavailable
from sparring_shared.paths import RunPaths
from sparring_shared.records import CandidateSet, Prompt


def attempt(worker: Worker, controller: Controller, run_id: str, stage: str, number: int) -> StageRow:
    """Do the first shard of a stage once; how the database has it then."""
    hurry(controller)
    worker.run_stage(_row(controller, run_id, stage, number).key)
    return _row(controller, run_id, stage, number)


def _row(controller: Controller, run_id: str, stage: str, number: int) -> StageRow:
    place = (stage, number, 0)
    return next(row for row in rows(controller, run_id) if (row.stage, row.round, row.shard) == place)


def interrupted(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any], error: SparringError
) -> tuple[str, list[str], StageRow]:
    """A run whose first shard has all answers but the one that was asked for last, and the texts of its prompts."""
    run_id = start(controller, config, 1)
    play(worker, controller, run_id, until="generate")
    places = RunPaths(controller.settings.runs_dir, run_id)
    texts = [row.messages[0].content for row in read_records(places.shard(1, "prompts", 0), Prompt)]
    below.sampling_fails = {texts[3]: [error]}
    return run_id, texts, attempt(worker, controller, run_id, "generate", 1)


def answered(below: Below, texts: list[str]) -> dict[str, int]:
    """How often each prompt was answered."""
    counts = Counter(body["messages"][-1]["content"] for body in below.bodies)
    return {text: counts[text] for text in texts}


def test_one_failed_request_throws_no_other_answer_away(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    run_id, texts, row = interrupted(controller, worker, below, config, Broken("It is ill."))
    assert (row.state, row.attempt, row.error) == ("waiting", 1, "It is ill.")
    row = attempt(worker, controller, run_id, "generate", 1)
    assert row.state == "done"
    assert answered(below, texts) == dict.fromkeys(texts, 1)
    places = RunPaths(controller.settings.runs_dir, run_id)
    sets = read_records(places.shard(1, "candidates", 0), CandidateSet)
    assert [each.prompt.messages[0].content for each in sets] == texts
    assert not places.kept(row.key).exists()


def test_what_came_before_an_outage_is_kept_through_the_next(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    run_id, texts, row = interrupted(controller, worker, below, config, Unavailable("It loads."))
    assert (row.state, row.attempt, row.outages, row.error) == ("waiting", 0, 1, "It loads.")
    below.sampling_fails = {texts[3]: [Unavailable("It loads.")]}
    row = attempt(worker, controller, run_id, "generate", 1)
    assert (row.state, row.attempt, row.outages) == ("waiting", 0, 1)
    assert attempt(worker, controller, run_id, "generate", 1).state == "done"
    assert answered(below, texts) == dict.fromkeys(texts, 1)


@pytest.mark.parametrize("other", ["policy", "k", "seed"])
def test_answers_that_were_kept_are_not_those_to_another_question(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any], other: str
) -> None:
    run_id, texts, _ = interrupted(controller, worker, below, config, Broken("It is ill."))
    with controller.database.writing() as connection:
        run = runs.get(connection, run_id)
        if other == "policy":
            runs.change(connection, run_id, base=run.base.model_copy(update={"digest": "sha256:other"}).model_dump_json())
        else:
            changed = run.config.model_dump(mode="json")
            changed |= {"seed": 7} if other == "seed" else {"sampling": changed["sampling"] | {"k": 2}}
            runs.change(connection, run_id, config=json.dumps(changed))
    assert attempt(worker, controller, run_id, "generate", 1).state == "done"
    assert answered(below, texts) == dict.fromkeys(texts, 2) | {texts[3]: 1}
    sets = read_records(RunPaths(controller.settings.runs_dir, run_id).shard(1, "candidates", 0), CandidateSet)
    assert {len(each.candidates) for each in sets} == {2 if other == "k" else 3}
    assert ({each.policy.digest for each in sets} == {"sha256:other"}) == (other == "policy")


def test_answers_that_were_kept_and_cannot_be_read_are_asked_for_again(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    run_id, texts, row = interrupted(controller, worker, below, config, Broken("It is ill."))
    for path in RunPaths(controller.settings.runs_dir, run_id).kept(row.key).iterdir():
        path.write_text('{"answers": {"')
    assert attempt(worker, controller, run_id, "generate", 1).state == "done"
    assert answered(below, texts) == dict.fromkeys(texts, 2) | {texts[3]: 1}


def test_an_evaluation_keeps_its_answers_too(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    run_id = start(controller, config, 1)
    places = RunPaths(controller.settings.runs_dir, run_id)
    texts = [row.messages[0].content for row in read_records(places.prompts("heldout.parquet"), Prompt)][:6]
    below.sampling_fails = {texts[5]: [Unavailable("It loads.")]}
    assert attempt(worker, controller, run_id, "evaluate", 0).state == "waiting"
    assert attempt(worker, controller, run_id, "evaluate", 0).state == "done"
    assert answered(below, texts) == dict.fromkeys(texts, 1)
