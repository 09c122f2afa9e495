"""The trainer in bf16 on a device against fp32 on the CPU, killed and taken up again, and out of memory."""

from pathlib import Path

import pytest
import torch
from gpu_points.llama import TINY
from gpu_points.records import Setting
from gpu_points.rounding import nearest, stochastic
from gpu_points.small_run import PAIRS, write_base, write_job
from gpu_points.stepping import trained_on
from gpu_points.trainer_checks import against_fp32, killed_and_resumed
from skips import Skip, skip
from torch.optim.optimizer import register_optimizer_step_pre_hook

from sparring_shared.errors import Broken
from sparring_trainer.job.training import train


@pytest.fixture(autouse=True)
def where_the_trainer_trains(device: str) -> None:
    """It takes a GPU where there is one."""
    if device == "cpu" and torch.cuda.is_available():
        skip(Skip.ONLY_WITHOUT_GPU, "the trainer takes it")


def test_scores_and_gradient_in_bf16_with_checkpointing_are_those_of_fp32(device: str, tmp_path: Path) -> None:
    found = against_fp32(device, tmp_path)

    assert found["logprob_per_token_differs_by"] < 2e-3
    assert found["gradient_cosine"] > 0.999
    assert found["gradient_norm_ratio"] == pytest.approx(1, abs=0.01)
    assert found["weights_finite"]


def test_a_job_that_was_killed_ends_as_if_it_had_not_been_and_its_probe_holds(device: str, tmp_path: Path) -> None:
    found = killed_and_resumed(Setting(device, tiny=True, folder=str(tmp_path), seconds=300))

    assert found["resumed_from"] == "checkpoint-3"
    assert found["steps_of_resumed"] == [1, 2, 3, 4, 5, 6]
    assert found["resumed_over_moved"] <= (0.0 if device == "cpu" else 0.05)
    assert found["probe_differs_by"] < 1e-4


def test_out_of_memory_is_one_sentence(device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = write_base(tmp_path, TINY, device, pairs=PAIRS, answer=16)
    job = write_job(tmp_path, "job", base)

    def take_all(*_: object) -> None:
        if device == "cpu":
            raise torch.OutOfMemoryError("CUDA out of memory.")  # what a card raises; a CPU has no such error
        torch.empty(1 << 50, dtype=torch.uint8, device=device)

    hook = register_optimizer_step_pre_hook(take_all)
    try:
        with pytest.raises(Broken, match="out of memory"):
            train(job, checkpoint_seconds=600, device=trained_on(device))
    finally:
        hook.remove()


def test_rounding_to_bf16_keeps_the_mean_only_if_it_is_stochastic(device: str) -> None:
    torch.manual_seed(0)
    weights = torch.full((100_000,), 1.0 + 2**-10, device=device)  # an eighth of the way from 1 to the next bf16 value

    assert nearest(weights).unique().tolist() == [1.0]
    rounded = stochastic(weights)
    assert rounded.unique().tolist() == [1.0, 1.0078125]
    assert (rounded - 1).mean().item() == pytest.approx(2**-10, rel=0.05)
    assert stochastic(-weights).unique().tolist() == [-1.0078125, -1.0]
