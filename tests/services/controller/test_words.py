"""The policy is asked, trained and judged on the same words: what is sent, what lies in the files, what is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from below import Below
from playing import ONCE, play, start

from sparring_controller.api.controller import Controller
from sparring_controller.rounds.clients import GeneratorClient
from sparring_controller.rounds.clients.generator import Sampling
from sparring_controller.rounds.worker import Worker
from sparring_shared.artifacts import read_records
from sparring_shared.errors import Broken, InvalidInput, Unavailable
from sparring_shared.paths import RunPaths
from sparring_shared.records import Answer, CandidateSet, Message, Pair, Prompt
from sparring_shared.run_config import RunConfig

PROMPT = Prompt(prompt_id="p", messages=(Message(role="user", content="Zinc?"),))
SAMPLING = Sampling(n=2, temperature=1.0, top_p=1.0, max_tokens=8, seed=1)


def of_round(controller: Controller, run_id: str, name: str, kind: Any) -> list[Any]:
    places = RunPaths(controller.settings.runs_dir, run_id)
    return [row for shard in range(3) for row in read_records(places.shard(1, name, shard), kind)]


def answers(controller: Controller, run_id: str, number: int) -> list[Answer]:
    return read_records(RunPaths(controller.settings.runs_dir, run_id).evaluation(number) / "answers.parquet", Answer)


def test_a_pair_is_trained_on_the_prompt_that_its_sampler_read(
    controller: Controller, worker: Worker, config: dict[str, Any]
) -> None:
    run_id = start(controller, config, 1)
    play(worker, controller, run_id)
    read = {row.prompt.prompt_id: row for row in of_round(controller, run_id, "candidates", CandidateSet)}
    # The template printed another number each time.
    assert len({row.prompt_text.split()[1] for row in read.values()}) == len(read) == 10
    pairs = of_round(controller, run_id, "pairs", Pair)
    assert pairs
    assert all(bytes(pair.prompt_token_ids).decode() == read[pair.prompt_id].prompt_text for pair in pairs)


def test_round_evaluation_and_judge_have_the_same_words(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    words = {
        "system": "Be brief.",
        "template_arguments": {"enable_thinking": False},
        "stop": ["###"],
        "top_k": 20,
        "min_p": 0.05,
    }
    run_id = start(controller, config | {"sampling": config["sampling"] | words}, 1)
    play(worker, controller, run_id)
    kept = ("stop", "top_k", "min_p", "chat_template_kwargs", "logprobs", "return_token_ids")
    expected = [["###"], 20, 0.05, {"enable_thinking": False}, True, True]
    assert [[body[key] for key in kept] for body in below.bodies] == [expected] * len(below.bodies)
    assert {body["messages"][0]["content"] for body in below.bodies} == {"Be brief."}
    assert {body["n"] for body in below.bodies} == {3, 1}
    assert {prompt[0].content for prompt in below.shown} == {"Be brief."}
    assert {pair.prompt[0].role for pair in of_round(controller, run_id, "pairs", Pair)} == {"system"}
    assert [len(answer.prompt.messages) for answer in answers(controller, run_id, 1)] == [2] * 6


def test_the_evaluation_may_decode_in_its_own_way(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    config["sampling"] |= {"temperature": 0.7, "top_p": 0.9}
    config["evaluation"] |= {"top_p": 0.5, "max_tokens": 6}
    play(worker, controller, start(controller, config, 1))
    decoding = {(body["n"], body["temperature"], body["top_p"], body["max_tokens"]) for body in below.bodies}
    assert decoding == {(3, 0.7, 0.9, 8), (1, 0.7, 0.5, 6)}


@pytest.mark.parametrize("selection", ["best_worst", "knockout"])
def test_a_templated_judge_sees_the_text_of_the_policys_template(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any], selection: str
) -> None:
    algorithm = {"name": "inpo"} if selection == "knockout" else {"name": "sppo"}
    changed = {"judge": {"templated": True}, "selection": {"name": selection}, "algorithm": algorithm}
    run_id = start(controller, config | changed, 1)
    play(worker, controller, run_id)
    asked = [*of_round(controller, run_id, "candidates", CandidateSet), *answers(controller, run_id, 1)]
    assert below.shown
    assert set(below.shown) <= {row.prompt_text for row in asked}


def test_the_judge_sees_no_thinking_and_unfinished_answers_are_left_out_and_counted(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    below.says = {0: "<think>Long</think>\n\nA long answer.", 1: "<think>Short</think>A", 2: "<think>Hm", 3: "<think>Too long"}
    below.ends = {below.says[3]: "length"}
    config["sampling"] |= {"k": 4, "reasoning_parser": "think", "drop_unfinished": True}
    run_id = start(controller, config, 1)
    report = play(worker, controller, run_id).rounds[1].report or {}
    sets = of_round(controller, run_id, "candidates", CandidateSet)
    assert [[candidate.text for candidate in row.candidates] for row in sets] == [["A long answer.", "A"]] * 10
    pairs = of_round(controller, run_id, "pairs", Pair)
    assert {(pair.chosen[0].content, pair.rejected[0].content) for pair in pairs} == {("A long answer.", "A")}
    by_id = {row.prompt.prompt_id: row.candidates for row in sets}
    assert all(pair.chosen_token_ids == by_id[pair.prompt_id][0].token_ids for pair in pairs)
    assert {answer.candidate.text for answer in answers(controller, run_id, 1)} == {"A long answer."}
    found = report["candidates"]
    assert (found["answers"], found["unfinished"], found["at_limit_share"]) == (40, 20, 0.25)
    assert found["mean_characters"] == (14 + 1) / 4
    assert found["mean_tokens"] >= 1
    assert (report["pairs"], report["dropped"]) == (10, {})


def test_without_drop_unfinished_an_answer_that_never_ended_is_judged_as_empty(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    below.says = {2: "<think>Hm"}
    config["sampling"] |= {"reasoning_parser": "think"}
    run_id = start(controller, config, 1)
    report = play(worker, controller, run_id).rounds[1].report or {}
    last = {
        (row.candidates[2].text, row.candidates[2].finish_reason)
        for row in of_round(controller, run_id, "candidates", CandidateSet)
    }
    assert last == {("", "thinking")}
    assert {pair.rejected_index for pair in of_round(controller, run_id, "pairs", Pair)} == {2}
    assert report["candidates"]["unfinished"] == 0


def test_a_prompt_with_fewer_than_two_finished_answers_is_dropped(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    below.says = dict.fromkeys(range(3), "cut")
    below.ends = {"cut": "length"}
    config["sampling"] |= {"drop_unfinished": True}
    status = play(worker, controller, start(controller, config, 1))
    assert status.status == "failed"
    assert "Round 1 made no pair to train on (fewer than two finished answers: 10)" in (status.error or "")


def test_a_broken_off_answer_is_asked_for_again_and_any_other_end_is_an_error(below: Below, below_url: str) -> None:
    client = GeneratorClient(below_url)
    below.says = {0: "x"}
    below.ends = {"x": "abort"}
    with pytest.raises(Unavailable, match="broke an answer off"):
        client.sample(PROMPT, SAMPLING, "none")
    below.ends = {"x": "repetition"}
    with pytest.raises(Broken, match="ended an answer with 'repetition'; only stop and length are whole"):
        client.sample(PROMPT, SAMPLING, "none")
    client.close()


@pytest.mark.parametrize(
    ("context", "words", "sentence"),
    [
        (40, {"sampling": {"max_tokens": 40}}, "sampling.max_tokens is 40, but the context of {model} is 32 tokens, of which"),
        (
            20,
            {"sampling": {"max_tokens": 15}},
            "sampling.max_tokens is 15, but what the generator reads of it is 20 tokens, of",
        ),
        (64, {"evaluation": {"max_tokens": 32}}, "lower evaluation.max_tokens to 31 or less"),
        (64, {"training": {"max_length": 10, "max_prompt_length": 6}}, "max_prompt_length is 6, but the shortest prompt has 7"),
        (
            64,
            {"sampling": {"system": "Hi", "template_arguments": {"roles": ["user"]}}},
            "does not take the prompts (System role",
        ),
    ],
)
def test_lengths_that_cannot_work_are_refused_when_the_run_is_made(
    controller: Controller, below: Below, config: dict[str, Any], context: int, words: dict[str, Any], sentence: str
) -> None:
    base = Path(config["policy"]["model"])
    (base / "config.json").write_text('{"max_position_embeddings": 32}')
    below.root, below.context = str(base), context
    run_config = RunConfig.model_validate(config | {key: config.get(key, {}) | value for key, value in words.items()})
    with pytest.raises(InvalidInput) as refused:
        controller.create(ONCE, run_config)
    assert sentence.format(model=base) in refused.value.message
    assert controller.create(ONCE, RunConfig.model_validate(config)).status == "idle"


def test_a_generator_that_serves_another_model_or_is_away_refuses_nothing(
    controller: Controller, below: Below, config: dict[str, Any]
) -> None:
    below.root, below.context = "/another/model", 4
    assert controller.create(ONCE, RunConfig.model_validate(config)).status == "idle"
    away = replace(controller, services=replace(controller.services, generator=GeneratorClient("http://127.0.0.1:9")))
    assert away.create(ONCE, RunConfig.model_validate(config)).status == "idle"
