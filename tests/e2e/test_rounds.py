"""Two rounds from prompts to report with all real processes, some of which are killed on the way."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pyarrow.parquet as pq
import pytest
from command import ROOT, sparring
from skips import Skip, because

from sparring_controller.demo.small_world import Split, prompts
from sparring_controller.local.services import LocalServices
from sparring_shared.artifacts import damaged_files, read_records, weights_digest
from sparring_shared.hashes import file_sha256
from sparring_shared.paths import RunPaths
from sparring_shared.preference import best_worst, pairwise_probs, scores, win_rates
from sparring_shared.records import Answer, CandidateSet, Pair, PreferenceMatrix

REAL_PROMPTS = ROOT.parent / "shared" / "data" / "train_prompts" / "prompts_512.jsonl"
TRAINING = {
    "learning_rate": 3e-4,
    "optimizer": "adamw",
    "batch_size": 16,
    "max_length": 256,
    "max_prompt_length": 192,
    "precision": "fp32",
}


def config(name: str, source: Path, **changes: Any) -> dict[str, Any]:
    """A small run config as JSON."""
    return {
        "name": name,
        "rounds": 2,
        "deterministic": True,
        "policy": {"model": "models/demo-policy"},
        "prompts": {"source": str(source), "heldout": 0.25, "per_round": 40},
        "sampling": {"k": 4, "max_tokens": 24, "shard_size": 20},
        "algorithm": {"name": "sppo", "eta": 10.0},
        "training": TRAINING,
        "evaluation": {"prompts": 24, "checker": "small-world"},
        **changes,
    }


def until(controller: httpx.Client, run_id: str, reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The run's status once it is as wanted; the deadline bounds a run that hangs."""
    deadline = time.monotonic() + 400
    while True:
        status = look(controller, run_id, deadline)
        assert status["status"] != "failed", status["error"]
        if reached(status):
            return status
        assert time.monotonic() < deadline, f"not reached: {json.dumps(status, indent=1)}"
        time.sleep(0.2)


def look(controller: httpx.Client, run_id: str, deadline: float) -> dict[str, Any]:
    """The run's status, from a controller that may just have been killed."""
    while True:
        try:
            return controller.get(f"/v1/runs/{run_id}").raise_for_status().json()
        except httpx.TransportError:
            assert time.monotonic() < deadline, "the controller does not come back"
            time.sleep(0.2)


def stage_begun(round_number: int, stage: str) -> Callable[[dict[str, Any]], bool]:
    """Whether a stage is being worked on, or more."""
    return lambda status: any(
        found["done"] + found["running"] > 0
        for played in status["rounds"]
        if played["round"] == round_number
        for found in played["stages"]
        if found["stage"] == stage
    )


def stage_done(round_number: int, stage: str) -> Callable[[dict[str, Any]], bool]:
    """Whether some shard of a stage is committed."""
    return lambda status: any(
        found["done"] > 0
        for played in status["rounds"]
        if played["round"] == round_number
        for found in played["stages"]
        if found["stage"] == stage
    )


def kill(runs_dir: Path, *names: str) -> None:
    """kill -9 the main processes of these programs; supervisord starts them again."""
    states = LocalServices(runs_dir).processes.states()
    for name in names:
        psutil.Process(states[name].pid).kill()


def kill_engine(runs_dir: Path) -> None:
    """kill -9 vLLM's engine core, a child of the generator, which then has to end and come back."""
    generator = psutil.Process(LocalServices(runs_dir).processes.states()["generator"].pid)
    (engine,) = (child for child in generator.children() if "VLLM::EngineCore" in " ".join(child.cmdline()))
    engine.kill()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prompts of the small world."""
    path = tmp_path_factory.mktemp("prompts") / "prompts.jsonl"
    lines = [json.dumps({"prompt": prompt}) for prompt in prompts(Split.SELFPLAY, 120, 3)]
    path.write_text("\n".join(lines) + "\n")
    return path


def begun(controller: httpx.Client, name: str, source: Path) -> str:
    """The id of a run of two SPPO rounds that is under way."""
    made = controller.post("/v1/runs", json=config(name, source))
    assert made.status_code == 201, made.text
    run_id = made.json()["run_id"]
    assert controller.post(f"/v1/runs/{run_id}/rounds", json={"count": 2}).status_code == 202
    return run_id


@pytest.fixture(scope="module")
def played(controller: httpx.Client, runs_dir: Path, source: Path) -> dict[str, Any]:
    """A run during which each process is killed once."""
    run_id = begun(controller, "killed", source)
    until(controller, run_id, stage_done(1, "generate"))
    kill_engine(runs_dir)
    kill(runs_dir, "worker-judge", "judge", "redis")
    until(controller, run_id, stage_done(1, "train"))
    kill(runs_dir, "worker-generate", "worker-rounds", "controller")
    until(controller, run_id, stage_begun(2, "train"))
    kill(runs_dir, "trainer")
    return until(controller, run_id, lambda status: status["status"] == "done")


def test_both_rounds_are_reported(played: dict[str, Any]) -> None:
    assert [r["round"] for r in played["rounds"]] == [0, 1, 2]
    for number in (1, 2):
        report = played["rounds"][number]["report"]
        rate = report["win_rate_vs_base"]
        assert 0 <= rate["low"] <= rate["value"] <= rate["high"] <= 1
        assert set(report["seconds"]) == {"prompts", "generate", "judge", "select", "train", "evaluate"}
        assert report["prompts"] == 24
        assert sum(report["checker"]["verdicts"].values()) == 24
        assert report["chosen_logratio"] > report["rejected_logratio"]
    assert played["rounds"][2]["report"]["win_rate_vs_previous"] is not None


def test_each_candidate_is_from_the_policy_of_its_round(played: dict[str, Any], runs_dir: Path) -> None:
    places = RunPaths(runs_dir, played["run_id"])
    digests = [
        weights_digest(ROOT / "models" / "demo-policy"),
        weights_digest(places.checkpoint(1)),
        weights_digest(places.checkpoint(2)),
    ]
    assert len(set(digests)) == 3
    seen: list[list[str]] = []
    for number in (1, 2):
        sets = [item for shard in (0, 1) for item in read_records(places.shard(number, "candidates", shard), CandidateSet)]
        assert {(item.policy.version, item.policy.digest) for item in sets} == {(number - 1, digests[number - 1])}
        assert {len(item.candidates) for item in sets} == {4}
        seen.append([item.prompt.prompt_id for item in sets])
    assert len(set(seen[0]) | set(seen[1])) == 80
    for number in (0, 1, 2):
        answers = read_records(places.evaluation(number) / "answers.parquet", Answer)
        assert {item.policy.digest for item in answers} == {digests[number]}
        assert not {item.prompt.prompt_id for item in answers} & set(seen[0] + seen[1])
    assert damaged_files(places.checkpoint(2)) == []


def test_a_run_that_is_left_alone_is_equal_to_the_bit(
    controller: httpx.Client, played: dict[str, Any], runs_dir: Path, source: Path
) -> None:
    for path in runs_dir.glob(".judgements.db*"):
        path.unlink()  # or the judge would only remember
    kill(runs_dir, "judge")
    alone = until(controller, begun(controller, "alone", source), lambda status: status["status"] == "done")
    assert made(runs_dir, alone) == made(runs_dir, played)


def made(runs_dir: Path, run: dict[str, Any]) -> dict[str, Any]:
    """All that a run has made, by where it lies: hashes of what is written, and the reports but for what they say of time."""
    places = RunPaths(runs_dir, run["run_id"])
    files = {str(path.relative_to(places.root)): file_sha256(path) for path in places.root.glob("rounds/**/*.parquet")}
    weights = {f"checkpoint {version}": weights_digest(places.checkpoint(version)) for version in (1, 2)}
    reports = {
        f"report {number}": {**report, "seconds": None, "training": {**report["training"], "step_seconds": None}}
        for number, report in enumerate(each["report"] for each in run["rounds"])
    }
    assert len(files) == 2 * 2 * 4 + 3
    return files | weights | reports


def test_pairs_follow_from_the_judges_logits(played: dict[str, Any], runs_dir: Path) -> None:
    places = RunPaths(runs_dir, played["run_id"])
    for shard in (0, 1):
        sets = {item.prompt.prompt_id: item for item in read_records(places.shard(1, "candidates", shard), CandidateSet)}
        pairs = {item.prompt_id: item for item in read_records(places.shard(1, "pairs", shard), Pair)}
        for matrix in read_records(places.shard(1, "preferences", shard), PreferenceMatrix):
            candidates = sets[matrix.prompt_id].candidates
            expected = best_worst(scores(matrix.logits), [candidate.text for candidate in candidates])
            pair = pairs.get(matrix.prompt_id)
            assert (None if pair is None else (pair.chosen_index, pair.rejected_index)) == expected
            if pair is not None:
                rates = win_rates(pairwise_probs(matrix.logits))
                assert pair.chosen_win_rate == pytest.approx(rates[pair.chosen_index])
                assert pair.chosen[0].content == candidates[pair.chosen_index].text


def test_trainer_and_generator_agree_on_every_token(played: dict[str, Any]) -> None:
    for number in (1, 2):
        # Mean over the pairs of |log pi_t by the trainer - log pi_t by the sampler|, in nats per answer.
        assert played["rounds"][number]["report"]["training"]["sampler_gap"] < 1e-3


def test_a_second_post_with_the_same_key_starts_nothing(controller: httpx.Client, played: dict[str, Any]) -> None:
    path, headers = f"/v1/runs/{played['run_id']}/rounds", {"Idempotency-Key": "again"}
    first = controller.post(path, json={"count": 1}, headers=headers)
    assert first.status_code == 202
    assert controller.post(path, json={"count": 1}, headers=headers).json() == first.json()
    assert controller.post(path, json={"count": 2}, headers=headers).status_code == 409
    assert controller.post(f"/v1/runs/{played['run_id']}/cancel").is_success


@pytest.mark.skipif(not REAL_PROMPTS.is_file(), reason=because(Skip.DATA_BESIDE, "no round on real prompts"))
def test_a_round_of_inpo_on_real_prompts(runs_dir: Path, tmp_path: Path) -> None:
    few = tmp_path / "few.jsonl"
    few.write_text("\n".join(REAL_PROMPTS.read_text().splitlines()[:48]) + "\n")
    text = (ROOT / "configs" / "real-prompts.toml").read_text()
    text = text.replace(str(Path("../shared/data/train_prompts/prompts_512.jsonl")), str(few)).replace("= 64", "= 12")
    text = text.replace('name = "sppo"\neta = 10.0', 'name = "inpo"\neta = 0.05\n\n[selection]\nname = "knockout"')
    (tmp_path / "run.toml").write_text(text)
    result = sparring("run", str(tmp_path / "run.toml"), "--runs-dir", str(runs_dir))
    assert result.returncode == 0, result.stdout + result.stderr
    assert "real-prompts" in result.stdout
    pairs = sorted(runs_dir.glob("real-prompts-*/rounds/1/pairs/*.parquet"))
    assert sum(pq.read_metadata(path).num_rows for path in pairs) > 0


def test_a_generator_that_is_killed_leaves_no_engine(controller: httpx.Client, runs_dir: Path) -> None:
    # The last test, since nobody waits here until the generator is back.
    assert controller.get("/readyz").is_success
    generator = psutil.Process(LocalServices(runs_dir).processes.states()["generator"].pid)
    assert (engines := generator.children(recursive=True))
    generator.kill()
    assert psutil.wait_procs(engines, timeout=60)[1] == []
