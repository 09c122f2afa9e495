"""When a training saves what it needs to go on after a crash."""

import time
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from sparring_trainer.learning.together import agreed


class SaveToGoOn(TrainerCallback):
    """Saves every so many seconds by the first process's clock, while steps remain: after the last the policy is published."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since = time.monotonic()

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Count from here."""
        self._since = time.monotonic()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Decide, in all processes alike."""
        if state.global_step < state.max_steps:
            control.should_save = agreed(time.monotonic() - self._since >= self._seconds)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Count from the end of a save, so that saving never takes up most of the time."""
        self._since = time.monotonic()
