"""What a stage keeps for its next attempt: there until the stage is committed, and never taken for what it is not."""

from math import exp
from typing import Any

import pytest
from below import Below
from playing import hurry, play, rows, start
from sqlalchemy.exc import OperationalError

from sparring_controller.api.controller import Controller
from sparring_controller.rounds.worker import Worker
from sparring_controller.store import stages
from sparring_controller.store.records import StageRow
from sparring_shared.artifacts import read_records, write_records
from sparring_shared.errors import Unavailable
from sparring_shared.paths import RunPaths
from sparring_shared.records import Answer, Prompt
from sparring_shared.wire.judge import RankItem, RankRequest

OTHER = "An answer that is much longer than all others."


def attempt(worker: Worker, controller: Controller, run_id: str, stage: str) -> StageRow:
    """Do the latest stage of this name, first shard, once; how the database has it then."""
    hurry(controller)
    worker.run_stage(_row(controller, run_id, stage).key)
    return _row(controller, run_id, stage)


def _row(controller: Controller, run_id: str, stage: str) -> StageRow:
    return [row for row in rows(controller, run_id) if row.stage == stage and row.shard == 0][-1]


def interrupted(controller: Controller, worker: Worker, below: Below, config: dict[str, Any]) -> tuple[str, list[str]]:
    """A run whose stage `judge` has all judgements of its first shard but one, and the prompts of that."""
    run_id = start(controller, config, 1)
    play(worker, controller, run_id, until="judge")
    places = RunPaths(controller.settings.runs_dir, run_id)
    texts = [row.messages[0].content for row in read_records(places.shard(1, "prompts", 0), Prompt)]
    below.ill = {texts[2]: ["unavailable"]}
    assert attempt(worker, controller, run_id, "judge").state == "waiting"
    return run_id, texts


def test_a_commit_that_fails_loses_nothing_that_was_kept(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id, texts = interrupted(controller, worker, below, config)

    def lost(*_: Any) -> bool:
        raise OperationalError("COMMIT", {}, Exception("the connection was lost"))

    with monkeypatch.context() as patched:
        patched.setattr(stages, "commit", lost)
        row = attempt(worker, controller, run_id, "judge")
    assert (row.state, row.attempt, row.error) == ("waiting", 0, "The database did not answer (OperationalError).")
    row = attempt(worker, controller, run_id, "judge")
    assert row.state == "done"
    # What was judged in the attempt that could not commit is asked for again, what was kept before is not.
    assert {text: below.judged[text] for text in texts} == dict.fromkeys(texts, 1) | {texts[2]: 2}
    assert not RunPaths(controller.settings.runs_dir, run_id).kept(row.key).exists()


def test_what_was_kept_and_cannot_be_read_is_asked_for_again(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    run_id, texts = interrupted(controller, worker, below, config)
    for path in RunPaths(controller.settings.runs_dir, run_id).kept(_row(controller, run_id, "judge").key).iterdir():
        path.write_bytes(b"PAR1")
    assert attempt(worker, controller, run_id, "judge").state == "done"
    assert {text: below.judged[text] for text in texts} == dict.fromkeys(texts, 2) | {texts[2]: 1}


def test_judgements_that_were_kept_count_for_the_answers_that_were_judged_alone(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    run_id = start(controller, config, 1)
    _play_until_evaluation(worker, controller, run_id, 1)

    def refuse(request: RankRequest) -> None:
        below.ill = {_text(request.items[0]): ["unavailable"]}

    below.judge_refuses = refuse
    key = attempt(worker, controller, run_id, "evaluate").key
    below.judge_refuses = lambda _: None
    places = RunPaths(controller.settings.runs_dir, run_id)
    assert (places.kept(key) / "PreferenceMatrix.parquet").exists()
    path = places.kept(key) / "Answer.parquet"
    # As a worker does that lost its claim while it sampled, and does not know it yet.
    others = [
        answer.model_copy(update={"candidate": answer.candidate.model_copy(update={"text": OTHER})})
        for answer in read_records(path, Answer)
    ]
    write_records(path, Answer, others)
    report = play(worker, controller, run_id).rounds[1].report or {}
    base = read_records(places.evaluation(0) / "answers.parquet", Answer)
    wins = [1 / (1 + exp((len(answer.candidate.text) - len(OTHER)) / 5)) for answer in base]
    assert report["mean_p_vs_base"] == pytest.approx(sum(wins) / len(wins))


def test_what_cannot_be_judged_beside_the_previous_policy_is_counted_too(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    run_id = start(controller, config, 2)
    _play_until_evaluation(worker, controller, run_id, 2)
    requests: list[RankRequest] = []

    def refuse(request: RankRequest) -> None:
        requests.append(request)
        below.unjudgeable = {_text(item) for item in request.items[:2]} if len(requests) == 2 else set()

    below.judge_refuses = refuse
    report = play(worker, controller, run_id).rounds[2].report or {}
    dropped = {reason: count for reason, count in report["dropped"].items() if reason.startswith("evaluation")}
    assert dropped == {"evaluation against the previous policy, judge: invalid_input": 2}


def test_a_judge_that_is_down_keeps_no_evaluation_asking_the_generator(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    run_id = start(controller, config, 2)
    _play_until_evaluation(worker, controller, run_id, 1)
    heldout = read_records(RunPaths(controller.settings.runs_dir, run_id).evaluation(0) / "answers.parquet", Answer)
    below.too_long = {heldout[0].prompt.messages[-1].content}
    below.judge_refuses = lambda _: Unavailable("It loads.")
    assert attempt(worker, controller, run_id, "evaluate").state == "waiting"
    below.calls.clear()
    assert attempt(worker, controller, run_id, "evaluate").state == "waiting"
    assert set(below.calls) <= {"GET /v1/jobs", "POST /v1/rank"}
    below.judge_refuses = lambda _: None
    assert attempt(worker, controller, run_id, "evaluate").state == "done"
    report = controller.round(run_id, 1).report or {}
    assert (report["prompts"], report["dropped"]["evaluation, prompt too long or refused"]) == (5, 1)


def _play_until_evaluation(worker: Worker, controller: Controller, run_id: str, number: int) -> None:
    while not any((row.stage, row.round) == ("evaluate", number) for row in rows(controller, run_id)):
        for row in rows(controller, run_id):
            worker.run_stage(row.key)
        hurry(controller)


def _text(item: RankItem) -> str:
    assert not isinstance(item.prompt, str)
    return item.prompt[-1].content
