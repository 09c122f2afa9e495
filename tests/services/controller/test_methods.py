"""What each method is given: references, histories, tournaments, all answers."""

import math
from typing import Any

from below import Below
from playing import play, start

from sparring_controller.api.controller import Controller
from sparring_controller.rounds.worker import Worker
from sparring_controller.store.replies import Request
from sparring_shared.artifacts import read_records
from sparring_shared.paths import RunPaths
from sparring_shared.records import CandidateSet, Pair, PreferenceMatrix, Prompt
from sparring_shared.run_config import RunConfig


def test_inpo_gets_the_base_as_reference(controller: Controller, worker: Worker, below: Below, config: dict[str, Any]) -> None:
    config |= {"algorithm": {"name": "inpo"}, "selection": {"name": "knockout"}}
    play(worker, controller, start(controller, config, 2))
    assert [request.reference and request.reference.version for request in below.starts] == [0, 0]
    assert [request.policy.version for request in below.starts] == [0, 1]


def test_a_tournament_asks_the_judge_only_for_its_games(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    config["sampling"]["k"] = 8
    run_id = start(controller, config | {"algorithm": {"name": "inpo"}, "selection": {"name": "knockout"}}, 1)
    play(worker, controller, run_id, until="generate")
    places = RunPaths(controller.settings.runs_dir, run_id)
    odd_one = read_records(places.shard(1, "prompts", 0), Prompt)[0].messages[0].content
    below.unjudgeable = {odd_one}
    report = play(worker, controller, run_id).rounds[1].report or {}
    # 4 + 3 + 3 + 1 games at K = 8, of 28 pairs.
    assert sorted(below.games.values()) == [11] * 9
    assert odd_one not in below.games
    assert report["dropped"]["judge: invalid_input"] == 1
    assert report["pairs"] + sum(report["dropped"].values()) == 10
    assert report["against"] == {"previous": "version 0", "reference": "version 0, the base"}
    pairs = [pair for shard in range(3) for pair in read_records(places.shard(1, "pairs", shard), Pair)]
    sets = {
        row.prompt.prompt_id: row
        for shard in range(3)
        for row in read_records(places.shard(1, "candidates", shard), CandidateSet)
    }
    for pair in pairs:
        lengths = [len(candidate.text) for candidate in sets[pair.prompt_id].candidates]
        assert (len(pair.chosen[0].content), len(pair.rejected[0].content)) == (max(lengths), min(lengths))
        assert pair.chosen_score is None
    matrices = read_records(places.shard(1, "preferences", 0), PreferenceMatrix)
    assert [sum(math.isnan(p) for row in matrix.probs for p in row) for matrix in matrices] == [56 - 2 * 11] * len(matrices)


def test_a_random_pair_is_all_that_the_judge_is_asked_for(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    config["sampling"]["k"] = 8
    run_id = start(controller, config | {"algorithm": {"name": "inpo"}, "selection": {"name": "random"}}, 1)
    report = play(worker, controller, run_id).rounds[1].report or {}
    assert sorted(below.games.values()) == [1] * 10
    assert report["pairs"] + sum(report["dropped"].values()) == 10
    below.games.clear()
    config["algorithm"] = {"name": "rebel"}
    run_id = controller.create(
        Request("rebel", None), RunConfig.model_validate(config | {"selection": {"name": "random"}})
    ).run_id
    controller.play(Request("rebel", "play"), run_id, 1)
    assert play(worker, controller, run_id).status == "idle"
    assert sorted(below.games.values()) == [13] * 10


def test_every_method_gets_the_policies_that_it_is_against(
    controller: Controller, worker: Worker, below: Below, config: dict[str, Any]
) -> None:
    def versions(algorithm: dict[str, Any]) -> list[tuple[int | None, list[int]]]:
        below.starts.clear()
        run_id = controller.create(
            Request(str(algorithm), None), RunConfig.model_validate(config | {"algorithm": algorithm})
        ).run_id
        controller.play(Request(str(algorithm), "play"), run_id, 3)
        play(worker, controller, run_id)
        return [
            (job.reference.version if job.reference else None, [past.version for past in job.history]) for job in below.starts
        ]

    assert versions({"name": "dpo"}) == [(0, []), (1, []), (2, [])]
    assert versions({"name": "inpo", "reset_every": 2}) == [(0, []), (0, []), (2, [])]
    assert versions({"name": "mnpo"}) == [(None, [0, 0]), (None, [1, 0]), (None, [2, 1])]


def test_all_answers_are_trained_on(controller: Controller, worker: Worker, below: Below, config: dict[str, Any]) -> None:
    run_id = start(controller, config | {"selection": {"name": "all"}}, 1)
    play(worker, controller, run_id)
    places = RunPaths(controller.settings.runs_dir, run_id)
    pairs = [pair for shard in range(3) for pair in read_records(places.shard(1, "pairs", shard), Pair)]
    by_prompt: dict[str, list[int]] = {}
    for pair in pairs:
        by_prompt.setdefault(pair.prompt_id, []).extend((pair.chosen_index, pair.rejected_index))
    assert by_prompt
    assert all(sorted(seen) == [0, 0, 1, 1, 2, 2] for seen in by_prompt.values())
