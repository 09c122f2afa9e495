"""The trainer's own loop over pairs of random tokens, watched."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from sparring_shared.algorithms import SppoConfig
from sparring_shared.run_config import TrainingConfig
from sparring_shared.wire.trainer import PhaseName
from sparring_trainer.device_name import DeviceName
from sparring_trainer.learning.batches import Anchors, Steps
from sparring_trainer.learning.examples import Example
from sparring_trainer.learning.loop import StepTrainer, enable_gradient_checkpointing, score, training_arguments

ALGORITHM = SppoConfig()
OnStage = Callable[[str], None]
"""Called with the name of a stage when it is over."""


def trained_on(device: str) -> DeviceName:
    """The trainer's name for `cuda` or `cpu`."""
    return "cpu" if device == "cpu" else "auto"


class WatchedTrainer(StepTrainer):
    """Says when the backward pass of each step is over. `anchors` [N, 2] are the log-probs before training."""

    anchors: NDArray[np.float32]
    on_backward: Callable[[], None] = staticmethod(lambda: None)

    def training_step(self, *arguments: object, **named: object) -> torch.Tensor:
        """As the trainer's."""
        loss = super().training_step(*arguments, **named)  # pyright: ignore[reportArgumentType]  # handed through
        self.on_backward()
        return loss


class StageTeller:
    """A listener of the loop that passes on the steps."""

    def __init__(self, on_stage: OnStage) -> None:
        self._on_stage = on_stage

    def phase(self, name: PhaseName, done: int = 0, total: int | None = None) -> None:
        """Not passed on."""

    def step(self, step: int, metrics: dict[str, float]) -> None:
        """A stage is over."""
        self._on_stage(f"step {step}")

    def saved(self, checkpoint: Path) -> None:
        """Nothing is saved."""


def prepare(
    model: PreTrainedModel, examples: list[Example], config: TrainingConfig, folder: Path, steps: int, on_stage: OnStage
) -> WatchedTrainer:
    """Score the pairs; then what trains `steps` steps on all of them at once, saving nothing, when its `train` is called.

    The stages: `scoring`, then of each step, from 1, `backward 1` and `step 1`.
    """
    arguments = training_arguments(folder, config, seed=0, device=trained_on(model.device.type))
    previous = score(model, examples, config, arguments)
    on_stage("scoring")
    if config.gradient_checkpointing:
        enable_gradient_checkpointing(model)
    plan = [list(range(len(examples)))] * steps
    of_steps = Steps(examples, Anchors(previous, previous), plan, budget=config.micro_batch_tokens)
    trainer = WatchedTrainer(
        model,
        arguments,
        of_steps,
        algorithm=ALGORITHM,
        schedule_steps=steps,
        save_seconds=math.inf,
        listener=StageTeller(on_stage),
    )
    trainer.anchors = previous
    trainer.on_backward = lambda: on_stage(f"backward {trainer.state.global_step + 1}")
    return trainer
