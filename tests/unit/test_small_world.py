"""The small world: prompts that read back, answers of every kind, and a checker that tells them apart."""

import json
import random
import sys
from collections import Counter
from pathlib import Path

import pytest

from sparring_controller.demo.small_world import (
    AnswerKind,
    Question,
    Split,
    Task,
    Verdict,
    __main__,
    check,
    draw,
    parse,
    prompts,
    split_of,
    splits,
    write,
)
from sparring_controller.demo.small_world.questions import WORDINGS

MODELS = Path(__file__).parents[2] / "models"

CHOOSE = "Which of these is a fruit: saw, plum, tea?"
ODD = "Find the word that is not an animal: cat, zinc, goat."
DESCRIBE = "Tell me what zinc is."
YES = "Is drill a tool?"
NO = "Would you call drill a fruit?"
NAME = "Name a drink that is not tea or milk."
NUMBER = "Which number is the largest: 4, 17, 9?"


@pytest.mark.parametrize(
    ("prompt", "question"),
    [
        (CHOOSE, Question(Task.CHOOSE, 0, "fruit", ("saw", "plum", "tea"))),
        (ODD, Question(Task.ODD, 1, "animal", ("cat", "zinc", "goat"))),
        (DESCRIBE, Question(Task.DESCRIBE, 2, "", ("zinc",))),
        (NO, Question(Task.YES_NO, 2, "fruit", ("drill",))),
        (NAME, Question(Task.NAME, 0, "drink", ("tea", "milk"))),
        (NUMBER, Question(Task.NUMBER, 0, "largest", ("4", "17", "9"))),
    ],
)
def test_a_prompt_is_its_question_written_down(prompt: str, question: Question) -> None:
    assert parse(prompt) == question
    assert question.prompt == prompt


@pytest.mark.parametrize(
    ("prompt", "answer", "verdict"),
    [
        (CHOOSE, "Plum is a fruit.", Verdict.RIGHT),
        (CHOOSE, "plum", Verdict.RIGHT),
        (CHOOSE, "Well, that is a good question. Plum is a fruit.", Verdict.RIGHT),
        (CHOOSE, "It depends.", Verdict.EVASIVE),
        (CHOOSE, "Saw is a fruit.", Verdict.WRONG),
        (CHOOSE, "Plum is not a fruit.", Verdict.WRONG),
        (CHOOSE, "Apple is a fruit.", Verdict.WRONG),
        (CHOOSE, "Yes, plum is a fruit.", Verdict.WRONG),
        (CHOOSE, "fruit a is Plum.", Verdict.GARBLED),
        (CHOOSE, "Plum is an fruit.", Verdict.GARBLED),
        (CHOOSE, "Plum is a fruit. Plum is a fruit.", Verdict.GARBLED),
        (ODD, "Zinc is not an animal.", Verdict.RIGHT),
        (ODD, "Zinc is a metal.", Verdict.RIGHT),
        (ODD, "Zinc.", Verdict.RIGHT),
        (ODD, "I am not sure.", Verdict.EVASIVE),
        (ODD, "Cat is not an animal.", Verdict.WRONG),
        (ODD, "Zinc is an animal.", Verdict.WRONG),
        (ODD, "Zinc is not", Verdict.GARBLED),
        (DESCRIBE, "Zinc is a metal.", Verdict.RIGHT),
        (DESCRIBE, "A metal.", Verdict.RIGHT),
        (DESCRIBE, "Nobody can know that.", Verdict.EVASIVE),
        (DESCRIBE, "Zinc is a tool.", Verdict.WRONG),
        (DESCRIBE, "Iron is a metal.", Verdict.WRONG),
        (DESCRIBE, "Zinc is not a tool.", Verdict.WRONG),
        (DESCRIBE, "Zinc.", Verdict.WRONG),
        (DESCRIBE, "Zinc metal is", Verdict.GARBLED),
        (YES, "Yes.", Verdict.RIGHT),
        (YES, "Yes, drill is a tool.", Verdict.RIGHT),
        (YES, "Drill is a tool.", Verdict.RIGHT),
        (YES, "No.", Verdict.WRONG),
        (YES, "No, drill is not a tool.", Verdict.WRONG),
        (YES, "Yes, drill", Verdict.GARBLED),
        (NO, "No, drill is not a fruit.", Verdict.RIGHT),
        (NO, "No, drill is a tool.", Verdict.RIGHT),
        (NO, "That is hard to say.", Verdict.EVASIVE),
        (NO, "Yes, drill is a fruit.", Verdict.WRONG),
        (NO, "No, drill is a fruit.", Verdict.WRONG),
        (NO, "No, saw is not a fruit.", Verdict.WRONG),
        (NO, "No. No. No.", Verdict.GARBLED),
        (NAME, "Juice is a drink.", Verdict.RIGHT),
        (NAME, "Water.", Verdict.RIGHT),
        (NAME, "I would rather not say.", Verdict.EVASIVE),
        (NAME, "Tea is a drink.", Verdict.WRONG),
        (NAME, "Plum is a drink.", Verdict.WRONG),
        (NAME, "Plum is a fruit.", Verdict.WRONG),
        (NAME, "drink.", Verdict.GARBLED),
        (NUMBER, "17 is the largest.", Verdict.RIGHT),
        (NUMBER, "17.", Verdict.RIGHT),
        (NUMBER, "It depends.", Verdict.EVASIVE),
        (NUMBER, "9 is the largest.", Verdict.WRONG),
        (NUMBER, "17 is the smallest.", Verdict.WRONG),
        (NUMBER, "17 is a fruit.", Verdict.GARBLED),
        (NUMBER, "21 is the largest.", Verdict.GARBLED),
        (NUMBER, "", Verdict.GARBLED),
    ],
)
def test_verdicts(prompt: str, answer: str, verdict: Verdict) -> None:
    assert check(prompt, answer) is verdict


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "Hello!",
        "Is drill an tool?",
        "Is drill a weapon?",
        "Is sofa a tool?",
        "Name a drink that is not plum.",
        "Which of these is a fruit: saw, plum, pear?",
        "Which of these is a fruit: saw, tea?",
        "Which of these is a fruit: saw or plum?",
        "Which number is the largest: 4, 17, 21?",
        "Which number is the largest: 4, 4?",
        "Which number is the oddest: 4, 5?",
    ],
)
def test_a_text_from_elsewhere_is_refused(prompt: str) -> None:
    with pytest.raises(ValueError, match="not a prompt of the small world"):
        check(prompt, "Plum.")


def test_every_prompt_reads_back_and_writer_and_checker_agree() -> None:
    rng = random.Random(1)
    for task in Task:
        for _ in range(300):
            question = draw(task, rng)
            assert parse(question.prompt) == question
            for kind in AnswerKind:
                answer = write(question, kind, rng)
                assert check(question.prompt, answer) is kind.verdict, (question.prompt, answer)


def test_there_are_six_tasks_in_several_wordings() -> None:
    assert {task.value: len(wordings) for task, wordings in WORDINGS.items()} == {
        "choose": 4,
        "odd": 4,
        "describe": 6,
        "yes_no": 4,
        "name": 4,
        "number": 4,
    }


def test_splits_share_no_prompt_and_selfplay_is_large() -> None:
    drawn = {split: set(prompts(split, 4000, 0)) for split in Split}
    assert [len(texts) for texts in drawn.values()] == [4000, 4000, 4000]
    assert len(set.union(*drawn.values())) == 12_000
    assert all(split_of(text) is split for split, texts in drawn.items() for text in texts)


def test_the_split_of_a_prompt_never_changes() -> None:
    assert [split_of(prompt).value for prompt in (CHOOSE, ODD, DESCRIBE, YES, NO, NAME, NUMBER)] == [
        "selfplay",
        "selfplay",
        "selfplay",
        "models",
        "models",
        "held_out",
        "models",
    ]


def test_prompts_are_the_same_for_the_same_seed() -> None:
    assert list(prompts("selfplay", 50, 3)) == list(prompts("selfplay", 50, 3))
    assert list(prompts("selfplay", 50, 3)) != list(prompts("selfplay", 50, 4))


def test_tasks_come_in_about_equal_parts() -> None:
    counts = Counter(parse(prompt).task for prompt in prompts("selfplay", 600, 0))
    assert all(60 <= counts[task] <= 140 for task in Task)


def test_more_prompts_than_there_are_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splits, "_MAX_REPEATS", 5)
    with pytest.raises(ValueError, match="the split held_out has fewer than 4000 prompts"):
        list(prompts("held_out", 4000, 0))


def test_the_command_writes_json_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "prompts.jsonl"
    monkeypatch.setattr(sys, "argv", ["small_world", "--count", "3", "--seed", "7", "--out", str(out)])
    __main__.main()
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [line["prompt_id"] for line in lines] == [f"small-world-7-0000{index}" for index in range(3)]
    assert [line["prompt"] for line in lines] == list(prompts("selfplay", 3, 7))


def test_the_shipped_models_are_small() -> None:
    files = [file for name in ("demo-policy", "demo-judge") for file in (MODELS / name).iterdir()]
    assert {file.name for file in files} >= {"config.json", "model.safetensors", "tokenizer.json", "README.md"}
    assert sum(file.stat().st_size for file in files) < 12_000_000
