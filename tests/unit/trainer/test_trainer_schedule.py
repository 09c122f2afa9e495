"""The schedule that recipes are measured by is the one that trains."""

from typing import Any

import pytest
import torch
from transformers import get_scheduler

from sparring_shared.run_config import TrainingConfig
from sparring_shared.schedule import epoch_steps, learning_rates


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant_with_warmup"])
@pytest.mark.parametrize("epochs", [{"train_epochs": 1, "schedule_epochs": 18}, {"train_epochs": 2}])
def test_its_rates_are_those_of_transformers(schedule: Any, epochs: dict[str, int]) -> None:
    training = TrainingConfig(learning_rate=5e-7, schedule=schedule, batch_size=64, warmup_ratio=0.1, **epochs)  # pyright: ignore
    steps = epoch_steps(training, 1000)
    total = steps * (training.schedule_epochs or training.train_epochs)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=5e-7)
    scheduler = get_scheduler(schedule, optimizer, num_warmup_steps=-(-total // 10), num_training_steps=total)
    expected: list[float] = []
    for _ in range(steps * training.train_epochs):
        expected.append(float(scheduler.get_last_lr()[0]))
        optimizer.step()
        scheduler.step()
    assert learning_rates(training, 1000) == pytest.approx(expected)
