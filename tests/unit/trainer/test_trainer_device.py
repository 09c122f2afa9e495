"""A job trains on the CPU where torch knows nothing else or is told to, and never because a card is not found."""

from pathlib import Path

import pytest
import torch

from sparring_shared.errors import Unavailable
from sparring_shared.run_config import TrainingConfig
from sparring_trainer.device_name import DeviceName
from sparring_trainer.learning.device import trains_on_cpu, why_no_gpu
from sparring_trainer.learning.loop import training_arguments
from sparring_trainer.settings import TrainerSettings

OLD = "The NVIDIA driver on your system is too old (found version 12040)"


@pytest.mark.parametrize(
    ("wanted", "cuda", "found", "on_cpu"),
    [
        ("auto", "13.0", True, False),
        ("auto", None, True, False),  # a card of another maker
        ("auto", None, False, True),
        ("cpu", "13.0", True, True),
        ("cpu", "13.0", False, True),
        ("cpu", None, False, True),
    ],
)
def test_a_card_is_used_where_torch_finds_one(wanted: DeviceName, cuda: str | None, found: bool, on_cpu: bool) -> None:
    assert trains_on_cpu(wanted, cuda, found) is on_cpu


def test_a_build_for_cards_that_finds_none_refuses_and_names_both_versions() -> None:
    with pytest.raises(Unavailable) as refused:
        trains_on_cpu("auto", "13.0", False, OLD)
    assert refused.value.message == (
        f"This PyTorch is built for CUDA 13.0 but finds no GPU that it can use ({OLD}); update the driver, give the trainer a "
        "GPU, or set SPARRING_TRAINER_DEVICE=cpu to train without one."
    )


def test_the_reason_is_the_first_sentence_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    def init() -> None:
        raise RuntimeError(f"{OLD}. Please update your GPU driver from http://www.nvidia.com/Download/index.aspx Alternatively")

    monkeypatch.setattr(torch.cuda, "init", init)
    assert why_no_gpu() == OLD


def test_the_arguments_of_a_training_follow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    with pytest.raises(Unavailable, match=r"is built for CUDA 13\.0"):
        training_arguments(tmp_path, TrainingConfig(), seed=0)
    arguments = training_arguments(tmp_path, TrainingConfig(precision="fp32"), seed=0, device="cpu")
    assert arguments.device == torch.device("cpu")


def test_cudnn_makes_no_plan_for_each_length(tmp_path: Path) -> None:
    torch.backends.cuda.enable_cudnn_sdp(True)
    training_arguments(tmp_path, TrainingConfig(precision="fp32"), seed=0)
    assert not torch.backends.cuda.cudnn_sdp_enabled()


def test_the_setting_is_auto_or_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert TrainerSettings().device == "auto"
    monkeypatch.setenv("SPARRING_TRAINER_DEVICE", "cpu")
    assert TrainerSettings().device == "cpu"
