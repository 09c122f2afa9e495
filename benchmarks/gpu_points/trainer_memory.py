"""Point 5: the trainer at 7B and 8B shapes, weights made on the card, nothing saved; memory and speed of each stage."""

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from sparring_shared.run_config import TrainingConfig
from sparring_trainer.learning.logprobs import bind_scoring

from .device import allocated_gib, limit_memory, matrix_rate, peak_gib, reserved_gib, reset_peak, synchronize
from .llama import LLAMA_8B, MISTRAL_7B, TINY, Shape, llama, random_pairs, training_flops
from .processes import play
from .records import Findings, Notebook, Setting
from .stepping import prepare

STEPS = 3
PAIRS = 16
SMALLER_CARD_GIB = 80.0
SHAPES = {"7B": MISTRAL_7B, "8B": LLAMA_8B, "tiny": TINY}
CASE_SECONDS = 150.0


@dataclass(frozen=True)
class Case:
    """One process: a shape, an optimizer, and how much of the card it may use in GiB (None: all)."""

    shape: str
    optimizer: str
    limit_gib: float | None = None

    @property
    def name(self) -> str:
        """As in the findings, e.g. `7B rmsprop of 80 GiB`."""
        limit = "" if self.limit_gib is None else f" of {self.limit_gib:.0f} GiB"
        return f"{self.shape} {self.optimizer}{limit}"


CASES = (
    Case("7B", "rmsprop"),
    Case("7B", "rmsprop", SMALLER_CARD_GIB),
    Case("8B", "rmsprop"),
    Case("7B", "adamw"),
    Case("8B", "adamw"),
    Case("8B", "rmsprop", SMALLER_CARD_GIB),
)
TINY_CASES = (Case("tiny", "rmsprop", 1.0),)


def memory(setting: Setting, notebook: Notebook) -> None:
    """All cases, each in a process of its own, then one rank of FSDP2. Raises for those that failed but by memory."""
    deadline = time.monotonic() + setting.seconds - 5
    failed: list[str] = []
    parts = [
        (case.name, "gpu_points.trainer_memory:one_case", asdict(case)) for case in (TINY_CASES if setting.tiny else CASES)
    ]
    for name, function, arguments in [*parts, ("FSDP2, one rank", "gpu_points.sharded:sharded", {})]:
        left = min(CASE_SECONDS, deadline - time.monotonic())
        if left < 10:
            notebook.add(**{name: {"note": "not run: no time left"}})
            continue
        outcome = play(function, replace(setting, seconds=left), **arguments)
        notebook.add(**{name: outcome.findings | ({"note": outcome.note} if outcome.note else {})})
        failed += [f"{name}: {outcome.note}"] if outcome.status == "failed" else []
    if failed:
        raise RuntimeError("; ".join(failed))


def one_case(setting: Setting, notebook: Notebook, shape: str, optimizer: str, limit_gib: float | None) -> None:
    """Weights, scoring and steps; where memory does not suffice, the stage that was under way."""
    if limit_gib is not None:
        limit_memory(setting.device, limit_gib)
    stages = Stages(setting.device, notebook)
    try:
        _stages(setting, notebook, SHAPES[shape], optimizer, stages)
    except torch.OutOfMemoryError as error:
        notebook.add(out_of_memory=stages.under_way, peak_gib=peak_gib(setting.device), said=str(error).partition(" GPU ")[0])


def _stages(setting: Setting, notebook: Notebook, shape: Shape, optimizer: str, stages: "Stages") -> None:
    examples = (
        random_pairs(2, shape.vocab_size, prompt=8, answer=8)
        if setting.tiny
        else random_pairs(PAIRS, shape.vocab_size, prompt=512, answer=512)
    )
    rate = matrix_rate(setting.device, torch.bfloat16, tiny=setting.tiny)
    reset_peak(setting.device)
    model = llama(shape, setting.device)
    stages.over("weights")
    bind_scoring(model)
    stages.over("binding")
    config = TrainingConfig.model_validate(
        {"optimizer": optimizer, "gradient_checkpointing": True, "batch_size": len(examples)}
    )
    prepare(model, examples, config, Path(setting.folder), STEPS, stages.over).train()
    seconds = min(stages.steps)
    notebook.add(
        weights=sum(weight.numel() for weight in model.parameters()),
        matrix_tflops=round(rate / 1e12, 3),
        tokens_a_step=sum(2 * len(one.prompt_ids) + len(one.chosen_ids) + len(one.rejected_ids) for one in examples),
        seconds_a_step=seconds,
        share_of_matrix_rate=round(training_flops(shape, examples) / seconds / rate, 4),
    )


class Stages:
    """Notes memory and seconds as stages end; a step's seconds are those of its backward passes and of the optimizer."""

    def __init__(self, device: str, notebook: Notebook) -> None:
        self.steps: list[float] = []
        self._device = device
        self._notebook = notebook
        self._over: Findings = {}
        self._began = time.monotonic()
        self._of_backward = 0.0

    @property
    def under_way(self) -> str:
        """What is being done, by what was done last."""
        return f"after {list(self._over)[-1]}" if self._over else "weights"

    def over(self, stage: str) -> None:
        """A stage is over."""
        synchronize(self._device)
        seconds = time.monotonic() - self._began
        self._over[stage] = {
            "peak_gib": peak_gib(self._device),
            "reserved_gib": reserved_gib(self._device),
            "allocated_gib": allocated_gib(self._device),
            "seconds": round(seconds, 3),
        }
        if stage.startswith("backward"):
            self._of_backward = seconds
        elif stage.startswith("step"):
            self.steps.append(self._of_backward + seconds)
        self._notebook.add(stages=self._over, steps_done=len(self.steps))
        reset_peak(self._device)
        self._began = time.monotonic()
