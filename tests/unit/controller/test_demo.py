"""The demo's configs, prompts and report."""

import json
from pathlib import Path

import pytest
from reports import BASE, FIRST

from sparring_controller.demo.play import DemoOptions, demo_config, prompts_file, write_prompts
from sparring_controller.demo.report import DemoReport, DemoRun, Example, ExampleAnswer, example_of, markdown, write_report
from sparring_controller.demo.shortened import shortened
from sparring_controller.rounds.prompts.run_prompts import read_prompts
from sparring_shared.artifacts import write_records
from sparring_shared.paths import RunPaths
from sparring_shared.records import Candidate, CandidateSet, JudgeRef, Message, PolicyRef, PreferenceMatrix, Prompt
from sparring_shared.run_config import read_run_config
from sparring_shared.wire.controller import RunStatus

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def options(folder: Path, **given: str) -> DemoOptions:
    return DemoOptions.model_validate({"model": None, "judge": None, "prompts": None, "folder": folder} | given)


def test_the_demos_own_configs() -> None:
    for name in ("sppo", "inpo"):
        assert demo_config(name, options(Path("runs/demo"))) == read_run_config(ROOT / "configs" / f"demo-{name}.toml")


def test_an_own_judge_takes_the_place_of_the_demos() -> None:
    judge = demo_config("sppo", options(Path("runs/demo"), judge="org/judge")).judge
    assert (judge.engine, judge.model) == (None, "org/judge")


def test_own_model_and_prompts_take_the_real_settings() -> None:
    config = demo_config("sppo", options(Path("runs/demo"), model="org/model", prompts="org/data"))
    assert (config.name, config.policy.model, config.prompts.source) == ("demo-real-sppo", "org/model", "org/data")
    assert config.evaluation.checker is None
    assert config.algorithm == read_run_config(ROOT / "configs" / "sppo-paper.toml").algorithm


@pytest.mark.parametrize(
    ("demo", "whole", "said"),
    [
        (
            "demo-real-sppo",
            "sppo-paper",
            "8 optimizer steps of 313, 512 tokens an answer of 2,048, learning rates that sum to 2.0e-06 of 4.3e-05",
        ),
        (
            "demo-real-inpo",
            "inpo-iclr",
            "2 rounds of 3, 8 optimizer steps of 314, 512 tokens an answer of 2,048, 1,024 tokens "
            "a training text of 2,048, learning rates that sum to 2.0e-06 of 7.8e-05",
        ),
    ],
)
def test_what_is_shortened_is_told_in_numbers(demo: str, whole: str, said: str) -> None:
    played, recipe = (read_run_config(ROOT / "configs" / f"{name}.toml") for name in (demo, whole))
    assert shortened(played, recipe, 512) == (
        f"{demo} is short: a round has 512 prompts where the paper plays about 20,000, {said} a round; the whole is "
        f"`sparring run configs/{whole}.toml`."
    )


def test_the_prompts_suffice_for_three_disjoint_rounds(tmp_path: Path) -> None:
    write_prompts(prompts_file(tmp_path))
    config = demo_config("sppo", options(tmp_path))
    found = read_prompts(config.prompts)
    assert config.prompts.per_round is not None
    assert len(found.training[0]) >= config.rounds * config.prompts.per_round
    assert len(found.heldout) >= config.evaluation.prompts


def test_the_example_is_the_prompt_with_the_most_different_answers(tmp_path: Path) -> None:
    places, policy = RunPaths(tmp_path, "demo-1"), PolicyRef(version=0, digest="sha256:0")
    answers = {"a": ("same", "same"), "b": ("worse", "better"), "c": ("x", "y")}
    judge = JudgeRef(name="judge", revision="1")
    probs = ((0.5, 0.2), (0.8, 0.5))
    write_records(
        places.shard(1, "candidates", 0),
        CandidateSet,
        [
            CandidateSet(
                prompt_token_ids=(1,),
                prompt_text=None,
                prompt=Prompt(prompt_id=name, messages=(Message(role="user", content=f"What is {name}?"),)),
                candidates=tuple(Candidate(text=text, token_ids=(1,), logprob=-1, finish_reason="stop") for text in texts),
                policy=policy,
            )
            for name, texts in answers.items()
        ],
    )
    write_records(
        places.shard(1, "preferences", 0),
        PreferenceMatrix,
        [
            PreferenceMatrix(prompt_id=name, logits=((0, -1), (1, 0)), probs=probs, truncated=(False, False), judge=judge)
            for name in ("a", "b")
        ],
    )
    made = {"run_id": "demo-1", "name": "demo", "status": "done", "requested_rounds": 1, "completed_rounds": 1}
    config = demo_config("sppo", options(tmp_path))
    example = example_of(tmp_path, RunStatus.model_validate({**made, "created_at": "now", "config": config}))
    assert example.prompt == (Message(role="user", content="What is b?"),)
    assert [(answer.text, round(answer.win_rate, 6)) for answer in example.answers] == [("better", 0.65), ("worse", 0.35)]


def literal_report() -> DemoReport:
    run = DemoRun(run_id="demo-1", config=demo_config("sppo", options(Path("runs/demo"))), rounds=(BASE, FIRST))
    answers = (ExampleAnswer(text="A | metal.\n", win_rate=0.7), ExampleAnswer(text="Tea.", win_rate=0.3))
    example = Example(prompt=(Message(role="user", content="What is zinc?"),), answers=answers)
    return DemoReport(runs={"sppo": run}, example=example, seconds=61.4)


def test_markdown() -> None:
    text = markdown(literal_report())
    assert "## SPPO\n\nRun `demo-1` from the base `models/demo-policy`.\n\n| round |" in text
    assert text.endswith(
        "## One prompt, its answers and their win rates\n\n> What is zinc?\n\n| win rate | answer |\n| ---: | --- |\n"
        "| 0.700 | A \\| metal. |\n| 0.300 | Tea. |\n\nThe whole took 61 seconds.\n"
    )


def test_all_three_files_are_written(tmp_path: Path) -> None:
    paths = write_report(tmp_path, literal_report())
    assert [path.name for path in paths] == ["report.json", "report.md", "chart.png"]
    value = json.loads((tmp_path / "report.json").read_text())
    assert value["runs"]["sppo"]["rounds"][1]["win_rate_vs_base"] == {"value": 0.62, "low": 0.58, "high": 0.66}
    assert value["runs"]["sppo"]["rounds"][1]["seconds"]["train"] == 12.5
    assert value["example"]["answers"][0]["win_rate"] == 0.7
