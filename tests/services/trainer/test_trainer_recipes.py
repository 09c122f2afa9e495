"""Every run config in configs/ trains: its method and its training, on a tiny model, in this process."""

import shutil
from pathlib import Path

import pytest
from trainer_world import World, save_model

from sparring_shared.algorithms import (
    Algorithm,
    GpoConfig,
    MnpoConfig,
    RebelConfig,
    SppoConfig,
    history_versions,
    reference_version,
)
from sparring_shared.artifacts import read_records, weights_digest, write_records
from sparring_shared.errors import InvalidInput
from sparring_shared.records import Pair
from sparring_shared.run_config import RunConfig, read_run_config
from sparring_shared.wire.trainer import CheckpointRef, JobRequest, JobStatus
from sparring_trainer.job.folder import JobFolder
from sparring_trainer.job.training import train
from sparring_trainer.service.request_checks import check_data

RECIPES = {path.stem: read_run_config(path) for path in sorted((Path(__file__).parents[3] / "configs").glob("*.toml"))}
TINY = {"batch_size": 6, "micro_batch_tokens": 240, "max_length": 64, "max_prompt_length": 32, "learning_rate": 1e-3}


@pytest.fixture(scope="module")
def checkpoints(world: World) -> dict[int, CheckpointRef]:
    """Version 0, and other policies in the place of versions 1 and 2, which answered."""
    made = {0: world.base}
    for version in (1, 2):
        folder = world.root / "models" / f"version-{version}"
        save_model(folder, version)
        for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
            shutil.copy(world.model / name, folder)
        made[version] = CheckpointRef(version=version, digest=weights_digest(folder), path=str(folder))
    pairs = [
        pair.model_copy(update={"policy": made[2].policy, "chosen_score": 1.5, "rejected_score": -0.5})
        for pair in read_records(world.pairs, Pair)
    ]
    write_records(world.root / "runs" / "pairs" / "third.parquet", Pair, pairs)
    return made


def third_round(world: World, checkpoints: dict[int, CheckpointRef], name: str, config: RunConfig) -> JobRequest:
    """The job of round 3, where base, previous policy and the one before are three different ones."""
    reference = reference_version(config.algorithm, 3)
    training = config.training.model_dump() | TINY
    return JobRequest.model_validate(
        {
            "policy": checkpoints[2],
            "reference": None if reference is None else checkpoints[reference],
            "history": [checkpoints[version] for version in history_versions(config.algorithm, 3)],
            "pairs": [str(world.root / "runs" / "pairs" / "third.parquet")],
            "output": str(world.root / "runs" / "checkpoints" / name),
            "version": 3,
            "algorithm": config.algorithm,
            "training": training,
        }
    )


def trained(world: World, request: JobRequest, name: str) -> JobStatus:
    folder = JobFolder(world.root / "recipes" / name)
    blank = {"step": 0, "total_steps": None, "metrics": {}, "eta_seconds": None, "checkpoint": None, "error": None}
    folder.root.mkdir(parents=True)
    folder.write_request(request)
    folder.write_status(JobStatus.model_validate({"job_id": name, "state": "running", **blank}))
    train(folder, checkpoint_seconds=600)
    return folder.status()


def check(status: JobStatus, request: JobRequest) -> None:
    assert status.state == "succeeded"
    assert status.step == 3 * request.training.train_epochs
    assert status.checkpoint is not None
    assert status.checkpoint.digest == weights_digest(Path(request.output)) != request.policy.digest
    assert status.metrics["final_chosen_logratio"] > status.metrics["final_rejected_logratio"]


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_trains(name: str, world: World, checkpoints: dict[int, CheckpointRef]) -> None:
    request = third_round(world, checkpoints, name, RECIPES[name])
    check_data(request)
    check(trained(world, request, name), request)


@pytest.mark.parametrize(
    ("name", "algorithm"),
    [
        ("gpo", GpoConfig(beta=0.1)),
        ("rebel", RebelConfig(eta=10)),
        ("rspo", SppoConfig(eta=10, forward_kl=0.5, reverse_kl=0.5)),
        ("sppo-pair", SppoConfig(eta=10, targets="pair")),
    ],
)
def test_a_method_without_a_recipe_trains(
    name: str, algorithm: Algorithm, world: World, checkpoints: dict[int, CheckpointRef]
) -> None:
    config = RECIPES["demo-sppo"].model_copy(update={"algorithm": algorithm})
    request = third_round(world, checkpoints, name, config)
    check_data(request)
    check(trained(world, request, name), request)


def test_mnpo_regresses_on_the_mixture_of_its_history(world: World, checkpoints: dict[int, CheckpointRef]) -> None:
    config = RECIPES["mnpo"]
    request = third_round(world, checkpoints, "mixture", config)
    assert [checkpoint.version for checkpoint in request.history] == [2, 1, 0]
    first = trained(world, request, "mixture")
    alone = config.model_copy(update={"algorithm": MnpoConfig(weights=(1,), logprobs="mean")})
    second = trained(world, third_round(world, checkpoints, "alone", alone), "alone")
    assert first.metrics["loss"] != pytest.approx(second.metrics["loss"], rel=1e-4)


def test_a_job_without_its_reference_or_history_is_refused(world: World, checkpoints: dict[int, CheckpointRef]) -> None:
    missing = third_round(world, checkpoints, "x", RECIPES["dpo-iterative"]).model_copy(update={"reference": None})
    with pytest.raises(InvalidInput, match="DPO needs a reference"):
        check_data(missing)
    short = third_round(world, checkpoints, "x", RECIPES["mnpo"]).model_copy(update={"history": ()})
    with pytest.raises(InvalidInput, match="MNPO needs 3 policies in `history`, one per weight, but it has 0"):
        check_data(short)
