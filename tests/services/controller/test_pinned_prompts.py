"""What a run plays was read when it was made: sources that change or vanish afterwards change nothing."""

import json
from pathlib import Path
from typing import Any

import pytest
from below import Below
from fastapi.testclient import TestClient
from playing import ONCE, play, rows, start

from sparring_controller.api.app import create_app
from sparring_controller.api.controller import Controller
from sparring_controller.rounds.worker import Worker
from sparring_controller.store import runs
from sparring_shared.artifacts import read_records
from sparring_shared.errors import InvalidInput
from sparring_shared.paths import RunPaths
from sparring_shared.records import Answer, Prompt
from sparring_shared.run_config import RunConfig


def lines(path: Path, *texts: str) -> dict[str, Any]:
    path.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in texts))
    return {"source": str(path)}


def three_rounds(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Rounds of 4, 3 and 2 prompts of their own; three are held out, one of which round 2 has too."""
    rounds = [
        lines(folder / "1.jsonl", "a1", "a2", "a3", "a4"),
        lines(folder / "2.jsonl", "b1", "a2", "b2", "b3", "held 1"),
        lines(folder / "3.jsonl", "c1", "c2", "b1", "a4"),
    ]
    heldout = lines(folder / "heldout.jsonl", "held 1", "held 2", "held 3")
    return config | {"rounds": 3, "prompts": {"rounds": rounds, "heldout_source": heldout}}


def played(places: RunPaths, number: int) -> set[str]:
    shards = sorted((places.round(number) / "prompts").glob("*.parquet"))
    return {prompt.messages[0].content for shard in shards for prompt in read_records(shard, Prompt)}


def answered(places: RunPaths) -> set[str]:
    return {answer.prompt.messages[0].content for answer in read_records(places.evaluation(0) / "answers.parquet", Answer)}


def test_three_files_are_three_disjoint_rounds(
    controller: Controller, worker: Worker, config: dict[str, Any], tmp_path: Path
) -> None:
    run_id = start(controller, three_rounds(config, tmp_path), 3)
    assert play(worker, controller, run_id).status == "done"
    places = RunPaths(controller.settings.runs_dir, run_id)
    assert [played(places, number) for number in (1, 2, 3)] == [{"a1", "a2", "a3", "a4"}, {"b1", "b2", "b3"}, {"c1", "c2"}]
    assert answered(places) == {"held 1", "held 2", "held 3"}
    reports = json.loads(places.prompts("sources.json").read_text())
    assert [(each["name"], each["duplicates"], each["held_out"], each["prompts"]) for each in reports] == [
        ("round 1", 0, 0, 4),
        ("round 2", 1, 1, 3),
        ("round 3", 2, 0, 2),
        ("held out", 0, 0, 3),
    ]


def test_a_file_that_changes_after_the_run_was_made_changes_nothing(
    controller: Controller, worker: Worker, config: dict[str, Any], tmp_path: Path
) -> None:
    first = start(controller, config, 2)
    play(worker, controller, first)
    with TestClient(create_app(controller.settings)) as client:
        run_id = client.post("/v1/runs", json=config).json()["run_id"]
        lines(tmp_path / "prompts.jsonl", *(f"Other {i}?" for i in range(40)))
        assert client.post(f"/v1/runs/{run_id}/rounds").status_code == 202
        assert play(worker, controller, run_id, until="train").status == "running"
        (tmp_path / "prompts.jsonl").unlink()
        assert client.post(f"/v1/runs/{run_id}/rounds").status_code == 202
    assert play(worker, controller, run_id).status == "done"
    before, after = (RunPaths(controller.settings.runs_dir, each) for each in (first, run_id))
    assert [played(after, number) for number in (1, 2)] == [played(before, number) for number in (1, 2)]
    assert answered(after) == answered(before)


@pytest.mark.parametrize(("name", "stage"), [("heldout.parquet", "evaluate"), ("00000.parquet", "prompts")])
def test_prompts_that_were_changed_in_the_runs_folder_are_not_played(
    controller: Controller, worker: Worker, config: dict[str, Any], name: str, stage: str
) -> None:
    run_id = start(controller, config, 1)
    path = RunPaths(controller.settings.runs_dir, run_id).prompts(name)
    whole = path.read_bytes()
    path.write_bytes(whole[:-8] + b"\0" * 8)
    failed = play(worker, controller, run_id)
    said = f"{path} is not as it was when the run was made; put the file back and resume the run, or make a new run."
    assert (failed.status, failed.error) == ("failed", f"Round {0 if stage == 'evaluate' else 1}, {stage}: {said}")
    path.write_bytes(whole)
    controller.resume(ONCE, run_id)
    assert play(worker, controller, run_id).completed_rounds == 1


def test_a_run_of_an_older_version_goes_on(
    controller: Controller, worker: Worker, config: dict[str, Any], below: Below
) -> None:
    pinned, older = (start(controller, config, 2) for _ in range(2))
    with controller.database.writing() as connection:
        runs.change(connection, older, prompts=None)
    assert [play(worker, controller, run_id).status for run_id in (pinned, older)] == ["done", "done"]
    places = [RunPaths(controller.settings.runs_dir, run_id) for run_id in (pinned, older)]
    assert [played(places[0], number) for number in (1, 2)] == [played(places[1], number) for number in (1, 2)]
    assert answered(places[0]) == answered(places[1])


def test_the_prompts_are_in_the_key_of_a_stage(controller: Controller, config: dict[str, Any], tmp_path: Path) -> None:
    """Two runs alike but for a prompt: the planner's key differs even under the same id."""
    first = controller.create(ONCE, RunConfig.model_validate(config)).run_id
    with (tmp_path / "prompts.jsonl").open("a") as file:
        file.write('{"prompt": "One more?"}\n')
    second = controller.create(ONCE, RunConfig.model_validate(config)).run_id
    with controller.database.reading() as connection:
        kept = [runs.get(connection, run_id).prompts for run_id in (first, second)]
    assert kept[0] is not None and kept[1] is not None and kept[0] != kept[1]
    controller.play(ONCE, first, 1)
    keys = {row.stage: row.key for row in rows(controller, first)}
    with controller.database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM stages")
        runs.change(connection, first, prompts=kept[1].model_dump_json(), requested_rounds=0)
    controller.play(ONCE, first, 1)
    again = {row.stage: row.key for row in rows(controller, first)}
    assert again.keys() == keys.keys() == {"evaluate", "prompts"}
    assert not set(again.values()) & set(keys.values())


def test_no_round_is_played_that_has_no_prompts(controller: Controller, config: dict[str, Any], tmp_path: Path) -> None:
    run_id = controller.create(ONCE, RunConfig.model_validate(three_rounds(config, tmp_path))).run_id
    with pytest.raises(InvalidInput) as error:
        controller.play(ONCE, run_id, 4)
    assert error.value.message == (
        "There are no prompts for round 4: prompts.rounds names 3 sources; make a run with one for each round."
    )
    assert controller.run(run_id).requested_rounds == 0
