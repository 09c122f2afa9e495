"""A judge that is down, slow, or answers in part: nothing is lost, and nothing that has come is asked for again."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from below import Below
from broken_wire import Way, broken_wire
from playing import hurry, play, rows, start

from sparring_controller.api.controller import Controller
from sparring_controller.rounds.clients import JudgeClient, Services
from sparring_controller.rounds.worker import Worker
from sparring_controller.store.records import StageRow
from sparring_shared.artifacts import read_records
from sparring_shared.errors import Broken, Busy, DeadlinePassed, InvalidInput, SparringError, TooLarge, Unavailable
from sparring_shared.paths import RunPaths
from sparring_shared.records import PreferenceMatrix, Prompt
from sparring_shared.wire.controller import StageName
from sparring_shared.wire.judge import Estimator, RankItem, RankRequest, RankResponse


def before(controller: Controller, worker: Worker, config: dict[str, Any], stage: StageName) -> tuple[str, list[str]]:
    """A run whose next stage is this, and the prompts of its first shard."""
    run_id = start(controller, config, 1)
    play(worker, controller, run_id, until=stage)
    places = RunPaths(controller.settings.runs_dir, run_id)
    return run_id, [row.messages[0].content for row in read_records(places.shard(1, "prompts", 0), Prompt)]


def attempt(worker: Worker, controller: Controller, run_id: str, stage: StageName, number: int = 1) -> StageRow:
    """Do the first shard's stage of a round once; how the database has it then."""
    hurry(controller)
    worker.run_stage(_row(controller, run_id, stage, number).key)
    return _row(controller, run_id, stage, number)


def _row(controller: Controller, run_id: str, stage: StageName, number: int) -> StageRow:
    return next(row for row in rows(controller, run_id) if (row.stage, row.round, row.shard) == (stage, number, 0))


def judges_at(controller: Controller, url: str) -> Worker:
    settings = controller.settings.model_copy(update={"judge_url": url})
    return Worker(settings, controller.database, controller.doorbell, Services.at(settings))


@pytest.mark.parametrize(
    ("kind", "attempts"), [("unavailable", 0), ("busy", 0), ("broken", 1), ("deadline_passed", 1), ("internal", 1)]
)
def test_an_item_that_fails_through_no_fault_of_its_own_is_judged_later(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any], kind: str, attempts: int
) -> None:
    run_id, texts = before(controller, worker, config, "judge")
    below.ill = {texts[2]: [kind]}
    row = attempt(worker, controller, run_id, "judge")
    assert (row.state, row.attempt, row.error) == ("waiting", attempts, "It is ill.")
    report = play(worker, controller, run_id).rounds[1].report or {}
    assert [reason for reason in report["dropped"] if reason.startswith("judge")] == []
    assert report["pairs"] + sum(report["dropped"].values()) == 10
    assert {text: below.judged[text] for text in texts} == dict.fromkeys(texts, 1)


@pytest.mark.parametrize("kind", ["invalid_input", "too_large"])
def test_an_item_that_cannot_be_judged_is_dropped(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any], kind: str
) -> None:
    run_id, texts = before(controller, worker, config, "judge")
    below.ill = {texts[2]: [kind]}
    report = play(worker, controller, run_id).rounds[1].report or {}
    assert report["dropped"][f"judge: {kind}"] == 1
    assert below.judged[texts[2]] == 0


def test_a_request_of_which_nothing_can_be_judged_drops_its_items_alone(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    run_id, texts = before(controller, worker, config, "judge")
    below.unjudgeable = set(texts)
    status = play(worker, controller, run_id)
    assert (status.error, (status.rounds[1].report or {})["dropped"]["judge: invalid_input"]) == (None, 4)


@pytest.mark.parametrize(
    ("error", "attempts"),
    [(Unavailable("It loads."), 0), (Busy("Too much waits."), 0), (Broken("It broke."), 1), (SparringError("What?"), 1)],
)
def test_a_request_that_fails_is_made_again(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any], error: SparringError, attempts: int
) -> None:
    run_id, texts = before(controller, worker, config, "judge")
    below.judge_fails = [error]
    row = attempt(worker, controller, run_id, "judge")
    assert (row.state, row.attempt, row.error) == ("waiting", attempts, error.message)
    assert attempt(worker, controller, run_id, "judge").state == "done"
    assert {text: below.judged[text] for text in texts} == dict.fromkeys(texts, 1)


@pytest.mark.parametrize("error", [DeadlinePassed("Too slow."), TooLarge("Too large.")])
def test_a_request_that_is_too_much_is_halved(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any], error: SparringError
) -> None:
    run_id, texts = before(controller, worker, config, "judge")
    asked: list[int] = []

    def refuse(request: RankRequest) -> SparringError | None:
        asked.append(len(request.items))
        return error if len(request.items) > 1 else None

    below.judge_refuses = refuse
    row = attempt(worker, controller, run_id, "judge")
    assert (row.state, row.attempt) == ("done", 0)
    assert asked == [4, 2, 1, 1, 2, 1, 1]
    assert {text: below.judged[text] for text in texts} == dict.fromkeys(texts, 1)


def test_an_item_too_slow_alone_is_tried_again_and_fails_the_run_with_what_to_change(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    run_id, _ = before(controller, worker, config, "judge")
    below.judge_refuses = lambda _: DeadlinePassed("Too slow.")
    status = play(worker, controller, run_id)
    assert status.status == "failed"
    assert "raise SPARRING_JUDGING_SECONDS" in (status.error or "")


@pytest.mark.parametrize(
    ("way", "attempts"),
    [("reset", 0), ("silence", 0), ("half", 0), ("gateway", 0), ("no json", 1), ("another shape", 1)],
)
def test_a_judge_that_dies_while_it_answers_costs_nothing(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any], way: Way, attempts: int
) -> None:
    run_id, texts = before(controller, worker, config, "judge")
    with broken_wire(way) as url:
        row = attempt(judges_at(controller, url), controller, run_id, "judge")
    assert (row.state, row.attempt) == ("waiting", attempts)
    assert url in (row.error or "") and "validation error" not in (row.error or "")
    assert play(worker, controller, run_id).error is None
    assert {text: below.judged[text] for text in texts} == dict.fromkeys(texts, 1)


def test_what_came_before_an_outage_is_kept_and_the_wait_begins_anew(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    impatient = controller.settings.model_copy(update={"patience_seconds": 1e-9})
    worker = Worker(impatient, controller.database, controller.doorbell, controller.services)
    run_id, texts = before(controller, worker, config, "judge")
    places = RunPaths(controller.settings.runs_dir, run_id)

    def only_one_more(request: RankRequest) -> SparringError | None:
        """One prompt is judged with each attempt: first the request is halved to one item, then the judge goes away."""
        if len(request.items) > 1:
            return TooLarge("Too large.")
        return Unavailable("It went away.") if below.judged.total() > done else None

    below.judge_refuses = only_one_more
    for done in range(3):
        row = attempt(worker, controller, run_id, "judge")
        assert (row.state, row.attempt, row.waiting_since, row.error) == ("waiting", 0, None, "It went away.")
        assert below.judged.total() == done + 1
        assert list(places.shard(1, "preferences", 0).parent.glob("*")) == []
    done = 3
    assert attempt(worker, controller, run_id, "judge").state == "done"
    assert {text: below.judged[text] for text in texts} == dict.fromkeys(texts, 1)
    matrices = read_records(places.shard(1, "preferences", 0), PreferenceMatrix)
    assert len(matrices) == 4
    assert [path for path in places.root.rglob("*kept*") if path.is_file()] == []


def test_a_judge_that_stays_away_ends_the_patience(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    run_id, _ = before(controller, worker, config, "judge")
    impatient = controller.settings.model_copy(update={"patience_seconds": 1e-9})
    worker = Worker(impatient, controller.database, controller.doorbell, controller.services)
    below.judge_refuses = lambda _: Unavailable("It went away.")
    assert attempt(worker, controller, run_id, "judge").state == "waiting"
    assert attempt(worker, controller, run_id, "judge").state == "failed"


def test_a_tournament_goes_on_where_the_outage_met_it(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    config["sampling"]["k"] = 8
    config |= {"algorithm": {"name": "inpo"}, "selection": {"name": "knockout"}}
    run_id, texts = before(controller, worker, config, "judge")
    below.ill = {texts[0]: [], texts[1]: ["unavailable"], texts[2]: ["broken"]}
    below.judge_refuses = lambda _: Unavailable("It went away.") if below.games.get(texts[0]) == 5 else None
    assert attempt(worker, controller, run_id, "judge").state == "waiting"
    for _ in range(3):
        attempt(worker, controller, run_id, "judge")
    assert below.games[texts[0]] == 5
    below.judge_refuses = lambda _: None
    assert attempt(worker, controller, run_id, "judge").state == "done"
    assert {text: below.games[text] for text in texts} == dict.fromkeys(texts, 11)


def test_an_outage_in_an_evaluation_drops_nothing_and_samples_nothing_twice(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    run_id = start(controller, config, 1)
    play(worker, controller, run_id, until="train")
    while not any((row.stage, row.round) == ("evaluate", 1) for row in rows(controller, run_id)):
        worker.run_stage(next(row.key for row in rows(controller, run_id) if row.stage == "train"))
        hurry(controller)
    below.calls.clear()
    below.judge_fails = [Unavailable("It went away.")] * 3
    for _ in range(3):
        assert attempt(worker, controller, run_id, "evaluate", 1).state == "waiting"
    report = play(worker, controller, run_id).rounds[1].report or {}
    assert below.calls.count("POST /v1/chat/completions") == report["prompts"] == 6
    assert [reason for reason in report["dropped"] if reason.startswith("evaluation")] == []


def test_a_judge_that_is_replaced_in_the_middle_of_a_shard_judges_all_of_it(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    run_id, texts = before(controller, worker, config, "judge")
    below.ill = {texts[2]: ["unavailable"]}
    assert attempt(worker, controller, run_id, "judge").attempt == 0
    below.judge = {"name": "length", "revision": "2"}
    row = attempt(worker, controller, run_id, "judge")
    assert (row.attempt, row.error) == (1, "The judge length (2) is another than before; all is asked anew.")
    assert attempt(worker, controller, run_id, "judge").state == "done"
    places = RunPaths(controller.settings.runs_dir, run_id)
    matrices = read_records(places.shard(1, "preferences", 0), PreferenceMatrix)
    assert [row.judge.revision for row in matrices] == ["2"] * 4


class OurOwn(InvalidInput):
    """What the controller itself says of a request, not the judge of an item."""


class Refusing(JudgeClient):
    """Refuses before it asks."""

    def rank(self, items: Sequence[RankItem], estimator: Estimator) -> RankResponse:
        raise OurOwn("The run is pinned to another judge.")


def test_what_is_wrong_with_the_run_drops_no_item(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    run_id, _ = before(controller, worker, config, "judge")
    services = replace(controller.services, judge=Refusing(controller.settings.judge_url))
    refused = Worker(controller.settings, controller.database, controller.doorbell, services)
    row = attempt(refused, controller, run_id, "judge")
    assert (row.state, row.error) == ("failed", "The run is pinned to another judge.")
