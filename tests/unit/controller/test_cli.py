"""The command `sparring`: wrong input ends in one sentence and exit code 2."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sparring_controller.cli import main

CONFIG = """
name = "{name}"
[policy]
model = "{model}"
[prompts]
source = "{source}"
[sampling]
k = {k}
"""


Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def sparring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Exit code and both outputs of a command in an empty folder; nothing listens at the controller's address."""
    for name in [name for name in os.environ if name.startswith("SPARRING_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SPARRING_CONTROLLER_PORT", "1")
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sparring", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert isinstance(ended.value.code, int)
        said, complaint = capfd.readouterr()
        return ended.value.code, said, complaint

    return run


def config(folder: Path, **values: object) -> str:
    path = folder / "run.toml"
    path.write_text(CONFIG.format(**{"name": "a", "model": "models/none", "source": "prompts.jsonl", "k": 5} | values))
    return str(path)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "none.toml"], "There is no run config at none.toml; give the path of a TOML file."),
        (["up", "--model", "./none"], "There is no model at ./none; correct --model."),
        (["status"], "No controller is running for runs; start one with `sparring up`."),
        (["watch", "demo-1"], "No controller is running for runs; start one with `sparring up`."),
        (["resume", "demo-1"], "There is no run demo-1 in runs; `sparring status` lists those there are."),
        (["resume", "../runs"], "There is no run ../runs in runs; `sparring status` lists those there are."),
        (["demo"], "There is no run config at configs/demo-sppo.toml; give the path of a TOML file."),
    ],
)
def test_one_sentence_and_exit_code_2(sparring: Command, arguments: list[str], said: str) -> None:
    assert sparring(*arguments) == (2, "", f"sparring: {said}\n")


def test_a_config_that_does_not_fit(sparring: Command, tmp_path: Path) -> None:
    path = config(tmp_path, k=1)
    said = f"sparring: {path}: sampling.k: Input should be greater than or equal to 2 (it is 1).\n"
    assert sparring("run", path) == (2, "", said)
    (tmp_path / "run.toml").write_text(CONFIG.format(name="a", model="m", source="p.jsonl", k=5) + "temprature = 1\n")
    said = f"sparring: {path}: sampling.temprature: no such key; remove it or correct its name.\n"
    assert sparring("run", path) == (2, "", said)


def test_a_missing_model_of_a_config(sparring: Command, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    assert sparring("run", config(tmp_path)) == (
        2,
        "",
        "sparring: There is no model at models/none; correct policy.model.\n",
    )


def test_a_prompt_file_is_looked_at_before_anything_starts(sparring: Command, tmp_path: Path) -> None:
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "What is zinc?"}\nzinc\n')
    path = config(tmp_path, model="some/hub-model")
    refused = (
        "sparring: prompts.jsonl: 1 of 2 rows are no prompts, more than prompts.max_bad = 0.01 allows (not JSON: 1 (line 2)); "
        "correct or remove them.\n"
    )
    assert sparring("run", path) == (2, "", refused)
    assert sparring("prompts", path) == (2, "", refused)


def test_prompts_are_shown_without_starting_anything(sparring: Command, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        lines = [json.dumps({"prompt": f"Question {i}?"}) for i in range(number * 100, number * 100 + 150)]
        lines += ["{", json.dumps({"prompt": "x" * 400})]
        (tmp_path / f"{number}.jsonl").write_text("\n".join(lines) + "\n")
    rounds = ", ".join(f'{{source = "{number}.jsonl"}}' for number in (1, 2, 3))
    text = CONFIG.format(name="a", model="some/hub-model", source="-", k=5).replace('source = "-"', f"rounds = [{rounds}]")
    (tmp_path / "run.toml").write_text(text)
    code, said, complaint = sparring("prompts", "run.toml")
    assert (code, complaint) == (0, "")
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in said.splitlines() if line.startswith("│")]
    assert [row[:5] for row in rows] == [
        ["round 1", "1.jsonl", "152", "1", "0"],
        ["round 2", "2.jsonl", "152", "1", "51"],
        ["round 3", "3.jsonl", "152", "1", "51"],
        ["held out", "", "", "", ""],
    ]
    held_out, to_play = ([int(row[column]) for row in rows[:3]] for column in (5, 6))
    assert (sum(held_out), sum(held_out) + sum(to_play)) == (int(rows[3][5]), 351)
    assert [row[7:] for row in rows] == [
        [str(to_play[0]), "13", "400"],
        [str(to_play[1]), "13", "13"],
        [str(to_play[2]), "13", "13"],
        ["", "13", "13"],
    ]
    after = said[said.index("1.jsonl: 1 of") :].splitlines()
    assert after[:3] == [f"{number}.jsonl: 1 of 152 rows are dropped (not JSON: 1 (line 151))." for number in (1, 2, 3)]
    assert (after[3], len(after)) == ("The first 3 of round 1:", 7)
    assert all('user: "' in line for line in after[4:])
    assert {path.name for path in tmp_path.iterdir()} == {"1.jsonl", "2.jsonl", "3.jsonl", "run.toml"}


def test_down_where_nothing_runs(sparring: Command) -> None:
    assert sparring("down") == (0, "Nothing was running for runs.\n", "")


def test_games_are_played_by_the_trainers_program(sparring: Command, tmp_path: Path) -> None:
    said = f"sparring: there is no folder {tmp_path.resolve()}/absent for the figure; make it or give another path.\n"
    assert sparring("games", "--all", "--plot", "absent/games.png") == (2, "", said)
    code, table, _ = sparring("games", "--game", "rock-paper-scissors")
    assert (code, table.splitlines()[0].split(" | ")[1]) == (0, "method")


def test_an_unknown_command_is_a_usage_error() -> None:
    command = [Path(sys.executable).with_name("sparring"), "fly"]
    assert subprocess.run(command, capture_output=True, timeout=120, check=False).returncode == 2
