"""A file that is lost or changed after its stage was committed: made again, and never built upon as it is."""

import logging
import time
from pathlib import Path
from typing import Any

import pytest
from below import Below
from playing import ONCE, hurry, play, rows, start

from sparring_controller.api.controller import Controller
from sparring_controller.rounds.damage import Damaged, building_on, do_again, undo_what_differs
from sparring_controller.rounds.worker import Worker
from sparring_controller.store import runs, stages
from sparring_controller.store.records import RunSnapshot, StageRow
from sparring_shared.artifacts import read_records, write_records
from sparring_shared.errors import FileDamaged
from sparring_shared.paths import RunPaths
from sparring_shared.records import Answer, CandidateSet, Pair, PreferenceMatrix

FILE = {"path": "a", "sha256": "one", "rows": 1}


def tokens(controller: Controller, run_id: str) -> dict[tuple[int, str, int], int]:
    """How often each stage was claimed, or a claim taken back."""
    return {(row.round, row.stage, row.shard): row.token for row in rows(controller, run_id)}


def until_done(controller: Controller, worker: Worker, run_id: str, stage: str, shard: int = 0) -> StageRow:
    """Play, shard by shard, until one stage of round 1 is done."""
    deadline = time.monotonic() + 60
    while True:
        assert time.monotonic() < deadline
        for row in rows(controller, run_id):
            if (row.round, row.stage, row.shard, row.state) == (1, stage, shard, "done"):
                return row
            worker.run_stage(row.key)
        hurry(controller)


def changed(path: Path, kind: type[CandidateSet]) -> None:
    """Other answers than were judged, in a file that can be read."""
    first, *rest = read_records(path, kind)
    other = first.candidates[0].model_copy(update={"text": "Never said."})
    write_records(path, kind, [first.model_copy(update={"candidates": (other, *first.candidates[1:])}), *rest])


def test_candidates_that_changed_beside_their_preferences_are_sampled_and_judged_again(
    controller: Controller, worker: Worker, config: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    run_id = start(controller, config, 1)
    until_done(controller, worker, run_id, "judge")
    places, before = RunPaths(controller.settings.runs_dir, run_id), tokens(controller, run_id)
    changed(places.shard(1, "candidates", 0), CandidateSet)
    with caplog.at_level(logging.WARNING):
        assert play(worker, controller, run_id).status == "idle"
    sets = {row.prompt.prompt_id: row for row in read_records(places.shard(1, "candidates", 0), CandidateSet)}
    pairs = read_records(places.shard(1, "pairs", 0), Pair)
    assert pairs and all(
        pair.chosen[0].content == sets[pair.prompt_id].candidates[pair.chosen_index].text != "Never said." for pair in pairs
    )
    after = tokens(controller, run_id)
    assert [key for key in before if after[key] > before[key] and before[key] and key[1] in ("generate", "judge")] == [
        (1, "generate", 0),
        (1, "judge", 0),
    ]
    said = "rounds/1/candidates/00000.parquet is not as it was written by this stage: Round 1, generate, which is done again."
    assert [record.getMessage() for record in caplog.records if "is done again" in record.getMessage()] == [
        f"run {run_id}: {said}"
    ]


@pytest.mark.parametrize(("stage", "kind"), [("judge", "preferences"), ("select", "pairs")])
def test_a_file_that_is_gone_costs_its_own_stage_alone(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any], stage: str, kind: str
) -> None:
    run_id = start(controller, config, 1)
    until_done(controller, worker, run_id, stage)
    before = tokens(controller, run_id)
    RunPaths(controller.settings.runs_dir, run_id).shard(1, kind, 0).unlink()
    assert play(worker, controller, run_id).status == "idle"
    after = tokens(controller, run_id)
    again = {key for key, token in before.items() if token and after[key] > token and key[1] in ("generate", "judge")}
    assert again == ({(1, "judge", 0)} if stage == "judge" else set())
    assert len(below.starts) == 1


def test_prompts_that_come_out_the_same_leave_what_was_answered(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    run_id = start(controller, config, 1)
    first = until_done(controller, worker, run_id, "generate", 0)
    path = RunPaths(controller.settings.runs_dir, run_id).shard(1, "prompts", 1)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert play(worker, controller, run_id).status == "idle"
    again = next(row for row in rows(controller, run_id) if (row.stage, row.shard) == ("generate", 0) and row.round == 1)
    assert (again.token, again.result) == (first.token, first.result)


def test_pairs_that_are_damaged_while_the_job_waits_are_chosen_again_and_the_same_job_goes_on(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    below.job_fails = 1
    run_id = start(controller, config, 1)
    play(worker, controller, run_id, until="train")
    (train,) = (row for row in rows(controller, run_id) if row.stage == "train")
    worker.run_stage(train.key)
    hurry(controller)
    worker.run_stage(train.key)  # the job has failed
    RunPaths(controller.settings.runs_dir, run_id).shard(1, "pairs", 2).write_bytes(b"PAR1")
    assert play(worker, controller, run_id).status == "idle"
    assert len(below.jobs) == 1
    assert [len(request.pairs_sha256) for request in below.starts] == [3, 3]
    assert below.starts[0] == below.starts[1]


def test_answers_of_the_base_are_given_again_for_all_that_is_compared_with_them(
    controller: Controller, worker: Worker, config: dict[str, Any]
) -> None:
    run_id = start(controller, config, 2)
    play(worker, controller, run_id, until="train")
    places = RunPaths(controller.settings.runs_dir, run_id)
    path = places.evaluation(0) / "answers.parquet"
    path.unlink()
    status = play(worker, controller, run_id)
    assert (status.status, status.completed_rounds) == ("done", 2)
    assert {answer.policy.version for answer in read_records(path, Answer)} == {0}
    assert rows(controller, run_id)[0].damaged == 1


def test_what_was_trained_on_is_left_as_it_is(controller: Controller, worker: Worker, config: dict[str, Any]) -> None:
    run_id = start(controller, config, 2)
    until_done(controller, worker, run_id, "train")
    before = tokens(controller, run_id)
    for kind in ("prompts", "candidates", "preferences", "pairs"):
        RunPaths(controller.settings.runs_dir, run_id).shard(1, kind, 0).write_bytes(b"")
    assert play(worker, controller, run_id).status == "done"
    after = tokens(controller, run_id)
    assert {key: after[key] for key in before if key[0] == 1 and key[1] != "evaluate"} == {
        key: token for key, token in before.items() if key[0] == 1 and key[1] != "evaluate"
    }


def test_damage_without_end_fails_the_run_with_a_sentence_and_a_resume_mends_it(
    controller: Controller, worker: Worker, config: dict[str, Any]
) -> None:
    run_id = start(controller, config, 1)
    path = RunPaths(controller.settings.runs_dir, run_id).shard(1, "preferences", 0)
    for _ in range(4):
        until_done(controller, worker, run_id, "judge")
        path.write_bytes(b"PAR1")
        for row in rows(controller, run_id):
            if (row.stage, row.shard) == ("select", 0):
                worker.run_stage(row.key)
    status = controller.run(run_id)
    assert (status.status, status.error) == (
        "failed",
        "Round 1, select: rounds/1/preferences/00000.parquet is not as it was written by this stage: Round 1, judge. It was "
        "made 3 times anew; look at the disk, and at who else writes there, then resume the run.",
    )
    controller.resume(ONCE, run_id)
    assert play(worker, controller, run_id).status == "idle"
    assert read_records(path, PreferenceMatrix)


def test_a_worker_on_a_stage_that_was_undone_is_fenced_even_where_the_key_stays(
    controller: Controller, worker: Worker, config: dict[str, Any]
) -> None:
    run_id = start(controller, config, 1)
    play(worker, controller, run_id, until="judge")
    row = next(row for row in rows(controller, run_id) if row.stage == "judge")
    with controller.database.writing() as connection:
        held = stages.claim(connection, row.key, "somebody", 60)
        assert held is not None
        stages.undo(connection, [row.key])
        assert not stages.held(connection, row.key, held.token)
        assert stages.claim(connection, row.key, "somebody", 60) is None
        stages.add(connection, row.key, run_id, row.round, row.stage, row.shard)
        assert not stages.commit(connection, row.key, held.token, {})
        again = stages.claim(connection, row.key, "another", 60)
    assert again is not None and again.token > held.token


def test_what_builds_on_what(controller: Controller, config: dict[str, Any]) -> None:
    run_id = start(controller, config, 2)
    with controller.database.reading() as connection:
        run = runs.get(connection, run_id)

    def row(round_number: int, stage: Any, shard: int = 0, state: Any = "done") -> StageRow:
        return StageRow(
            key=f"{round_number}{stage}{shard}", run_id=run_id, round=round_number, stage=stage, shard=shard, state=state
        )

    shards = [row(1, stage, shard) for shard in (0, 1) for stage in ("generate", "judge", "select")]
    known = (row(0, "evaluate"), row(1, "prompts"), *shards, row(1, "train", state="waiting"))
    before = RunSnapshot(run=run, stages=known)
    assert [each.key for each in building_on(before, known[1])] == [each.key for each in (*shards, known[-1])]
    assert [each.key for each in building_on(before, shards[0])] == ["1judge0", "1select0", "1train0"]
    assert [each.key for each in building_on(before, shards[5])] == ["1train0"]
    trained = RunSnapshot(
        run=run, stages=(*known[:-1], row(1, "train"), row(1, "evaluate"), row(2, "prompts"), row(2, "evaluate"))
    )
    assert building_on(trained, known[1]) == building_on(trained, shards[0]) == building_on(trained, row(1, "train")) == []
    assert [each.key for each in building_on(trained, known[0])] == ["1evaluate0", "2evaluate0"]


def test_a_file_is_read_by_its_hash(tmp_path: Path) -> None:
    with pytest.raises(FileDamaged, match=r"x\.parquet is gone; have it made again"):
        read_records(tmp_path / "x.parquet", Pair, "0123" * 16)
    write_records(tmp_path / "x.parquet", Pair, [])
    with pytest.raises(FileDamaged, match=r"x\.parquet is not as it was written; have it made again"):
        read_records(tmp_path / "x.parquet", Pair, "0123" * 16)


def test_two_damages_at_once_leave_no_preferences_of_other_answers(controller: Controller, config: dict[str, Any]) -> None:
    run_id = start(controller, config, 1)
    made = {"prompts": {"files": [FILE]}, "generate": {"file": FILE}, "judge": {"file": FILE}}
    with controller.database.writing() as connection:
        for name, result in made.items():
            stages.add(connection, name, run_id, 2, name, 0)  # pyright: ignore[reportArgumentType]
            row = stages.claim(connection, name, "worker", 60)
            assert row is not None and stages.commit(connection, name, row.token, result)
        stages.add(connection, "select", run_id, 2, "select", 0)
        for reader, damaged in (("select", "generate"), ("generate", "prompts")):
            held, source = stages.claim(connection, reader, "worker", 60), stages.get(connection, damaged)
            assert held is not None and source is not None
            do_again(connection, held, Damaged(source, "a file"))
        stages.add(connection, "generate", run_id, 2, "generate", 0)
        again = stages.claim(connection, "generate", "worker", 60)
        assert again is not None
        assert "judge" in undo_what_differs(connection, again, {"file": FILE | {"sha256": "other"}})
