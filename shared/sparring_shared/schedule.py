"""How much a round trains: optimizer steps, and the learning rates of its schedule, as transformers lays them out."""

import math

from sparring_shared.run_config import TrainingConfig


def epoch_steps(training: TrainingConfig, pairs: int) -> int:
    """Optimizer steps of one epoch over so many pairs; the last may be smaller."""
    return math.ceil(pairs / training.batch_size)


def learning_rates(training: TrainingConfig, pairs: int) -> list[float]:
    """The learning rate of each optimizer step that is taken: those of `train_epochs` out of a schedule over `schedule_epochs`.

    Example: 128 pairs, 64 a step, one epoch of 18, 5e-7 with 10% warm-up: `[0.0, 1.25e-7]`, the first of 36 steps.
    """
    steps = epoch_steps(training, pairs)
    total = steps * (training.schedule_epochs or training.train_epochs)
    warmup = math.ceil(total * training.warmup_ratio)
    return [training.learning_rate * _share(training, step, warmup, total) for step in range(steps * training.train_epochs)]


def _share(training: TrainingConfig, step: int, warmup: int, total: int) -> float:
    """The part of the peak at a step, counted from 0."""
    if step < warmup:
        return step / warmup
    progress = (step - warmup) / max(1, total - warmup)
    match training.schedule:
        case "linear":
            return 1 - progress
        case "cosine":
            return (1 + math.cos(math.pi * progress)) / 2
        case "constant_with_warmup":
            return 1.0
