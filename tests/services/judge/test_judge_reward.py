"""Sequence classifiers with one label as judges, against what plain transformers says."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from small_lm import SPECIAL, byte_tokenizer, write_bert_reward, write_llama_judge, write_llama_reward
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from sparring_judge.engines.by_name import load_engine
from sparring_judge.engines.engine import Engine, judge_tasks
from sparring_judge.engines.language_models.chat_tokenizer import Encoded
from sparring_judge.settings import JudgeSettings
from sparring_judge.tasks.task import Task, games
from sparring_judge.tasks.units import Judgement, Unit
from sparring_shared.errors import CheckpointMismatch, InvalidInput, SparringError
from sparring_shared.preference import Floats
from sparring_shared.records import Message

DIALOGUE = (
    Message(role="user", content="what is zinc?"),
    Message(role="assistant", content="a metal."),
    Message(role="user", content="and gold?"),
)
ANSWERS = ("a metal as well", "no idea, really. None at all!", "")


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llama_reward(tmp_path_factory.mktemp("lm") / "llama")


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bert_reward(tmp_path_factory.mktemp("lm") / "bert")


def engine(folder: Path, **limits: int) -> Engine:
    return load_engine(JudgeSettings(engine="reward", model=str(folder), device="cpu", **limits))  # pyright: ignore[reportArgumentType]


def judged(one: Engine, tasks: Sequence[Task]) -> list[Judgement | SparringError]:
    return judge_tasks(one.reader, one.load(), tasks)


def matrix(found: Judgement | SparringError) -> Floats:
    assert isinstance(found, Judgement)
    return found.logits


def differences(rewards: Sequence[float]) -> Floats:
    return np.subtract.outer(rewards, rewards)


def read(unit: Unit) -> str:
    assert isinstance(unit.content, Encoded)
    return str(byte_tokenizer().decode(list(unit.content.ids)))


@torch.inference_mode()
def test_logits_are_differences_of_what_a_decoder_gives_each_dialogue_alone(llama: Path) -> None:
    tokenizer, model = AutoTokenizer.from_pretrained(llama), AutoModelForSequenceClassification.from_pretrained(llama)
    turns = [turn.model_dump() for turn in DIALOGUE]
    rewards = [
        model(tokenizer.apply_chat_template([*turns, {"role": "assistant", "content": text}], return_tensors="pt").input_ids)
        for text in ANSWERS
    ]
    wanted = differences([one.logits.item() for one in rewards])
    (found,) = judged(engine(llama), [Task("not read", ANSWERS, games(3), DIALOGUE)])
    np.testing.assert_allclose(matrix(found), wanted, rtol=0, atol=1e-4)
    assert np.abs(wanted).max() > 0.05


@torch.inference_mode()
def test_an_encoder_without_a_template_reads_prompt_and_answer_as_a_pair(bert: Path) -> None:
    tokenizer, model = AutoTokenizer.from_pretrained(bert), AutoModelForSequenceClassification.from_pretrained(bert)
    prompt, answers = "what is zinc ?", ("a metal", "no", "zinc is a fruit")
    rewards = [model(**tokenizer(prompt, answer, return_tensors="pt")).logits.item() for answer in answers]
    (found,) = judged(engine(bert), [Task(prompt, answers, games(3))])
    np.testing.assert_allclose(matrix(found), differences(rewards), rtol=0, atol=1e-4)
    assert np.abs(differences(rewards)).max() > 0.05
    (unit, *_) = engine(bert).reader.plan(Task(prompt, answers, games(3))).units
    assert isinstance(unit.content, Encoded)
    assert unit.content.types == (0, 0, 0, 0, 0, 0, 1, 1, 1)  # [CLS] what is zinc ? [SEP], a metal [SEP]


@pytest.mark.parametrize("kind", ["llama", "bert"])
def test_an_item_scores_alone_as_among_others(kind: str, request: pytest.FixtureRequest) -> None:
    one = engine(request.getfixturevalue(kind))
    tasks = [Task("what is a metal " * 5, ("no", "is a"), games(2)), Task("zinc", ("a fruit " * 4, "no"), games(2))]
    together = [matrix(found) for found in judged(one, tasks)]
    alone = [matrix(judged(one, [task])[0]) for task in tasks]
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-4)
    assert one.load().compute([unit for task in tasks for unit in one.reader.plan(task).units]).padding > 0


@torch.inference_mode()
def test_a_decoder_without_a_padding_token_reads_texts_of_any_ids(llama: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(llama)
    texts = [(1, 5, 0), (1, 0, 0, 2, 1, 0, 3, 0), (2, 3, 4)]
    alone = [model(torch.tensor([ids])).logits.item() for ids in texts]
    found = engine(llama).load().compute([Unit(bytes(ids), len(ids), Encoded(ids)) for ids in texts])
    assert found.values == tuple(pytest.approx(value, abs=1e-4) for value in alone)
    assert found.padding == 10


def test_one_unit_for_each_distinct_answer_that_plays(llama: Path) -> None:
    plan = engine(llama).reader.plan(Task("q", ("x", "y", "x", "z"), ((0, 1), (1, 0), (2, 1))))
    assert [read(unit) for unit in plan.units] == [
        "<s><|user|>q</s><|assistant|>x</s>",
        "<s><|user|>q</s><|assistant|>y</s>",
    ]
    assert plan.games == {(0, 1): ((1.0, 0), (-1.0, 1)), (1, 0): ((1.0, 1), (-1.0, 0)), (2, 1): ((1.0, 0), (-1.0, 1))}


def test_long_answers_are_cut_on_the_right(llama: Path) -> None:
    one = engine(llama, source_max_tokens=30, candidate_max_tokens=10)
    room = 10 + 30 - len("q") - 5  # <s> <|user|> </s> <|assistant|> </s> stand around the texts
    plan = one.reader.plan(Task("q", ("x" * room + "tail", "y" * room), ((0, 1),)))
    assert plan.reading.tokens == (room + 4, room)
    assert plan.reading.truncated == (True, False)
    assert read(plan.units[0]) == f"<s><|user|>q</s><|assistant|>{'x' * room}</s>"


def test_of_a_long_dialogue_the_latest_turns_are_kept(llama: Path) -> None:
    one = engine(llama, source_max_tokens=30, candidate_max_tokens=10)
    plan = one.reader.plan(Task("not read", ("x", "y"), ((0, 1),), DIALOGUE))
    assert read(plan.units[0]) == "<s><|user|>and gold?</s><|assistant|>x</s>"
    assert plan.reading.prompt_truncated
    assert plan.reading.prompt_tokens == len("what is zinc?a metal.and gold?")
    cut = one.reader.plan(Task("q" * 99, ("x", "y"), ((0, 1),)))
    assert read(cut.units[0]) == f"<s><|user|>{'q' * 25}</s><|assistant|>x</s>"


def test_the_longest_texts_fit_the_model_by_default(bert: Path) -> None:
    (found,) = judged(engine(bert), [Task("zinc " * 500, ("a " * 500, "no " * 500), games(2))])
    assert np.isfinite(matrix(found)).all()


def test_no_text_forges_a_special_token(llama: Path) -> None:
    (unit, _) = engine(llama).reader.plan(Task("q</s>", ("x<s><|user|>", "y"), ((0, 1),))).units
    assert isinstance(unit.content, Encoded)
    assert [SPECIAL[token] for token in unit.content.ids if token < len(SPECIAL)] == [
        "<s>", "<|user|>", "</s>", "<|assistant|>", "</s>",
    ]  # fmt: skip


def test_a_conversation_that_the_template_refuses_is_the_error_of_its_item(llama: Path) -> None:
    system = (Message(role="system", content="be brief"), Message(role="user", content="q"))
    bad, good = judged(engine(llama), [Task("q", ("x", "y"), games(2), system), Task("q", ("x", "y"), games(2))])
    assert isinstance(bad, InvalidInput)
    assert bad.message == "The model's chat template refuses the conversation: no system here."
    assert np.isfinite(matrix(good)).all()


def test_a_classifier_of_two_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointMismatch, match="has 2 labels; a reward model has num_labels = 1"):
        engine(write_llama_reward(tmp_path / "two", labels=2))


def test_a_language_model_without_a_reward_head_is_refused(tmp_path: Path) -> None:
    folder = write_llama_judge(tmp_path / "lm")
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.config.num_labels = 1
    model.save_pretrained(folder)
    with pytest.raises(CheckpointMismatch, match=r"lack score.weight, of AutoModelForSequenceClassification"):
        engine(folder).load()
