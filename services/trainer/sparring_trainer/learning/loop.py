"""The training loop: `transformers.Trainer` with our own steps.

The Trainer sees one batch per optimizer step and no gradient accumulation: `training_step` goes through the micro-batches
of the step itself. A step is thus exactly `batch_size` pairs, however unequal its micro-batches are, the loss is the mean
over those pairs, and the same pairs form a step whatever the number of processes. Optimizer, schedule, clipping, saving and
resuming stay the Trainer's.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from operator import itemgetter
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader
from transformers import PreTrainedModel, Trainer, TrainingArguments
from transformers.modeling_layers import GradientCheckpointingLayer

from sparring_shared.algorithms import Algorithm, KtoConfig
from sparring_shared.run_config import TrainingConfig
from sparring_shared.wire.trainer import PhaseName
from sparring_trainer.device_name import DeviceName
from sparring_trainer.learning.batches import MicroBatch, Steps, micro_batches, rows
from sparring_trainer.learning.device import use_cpu
from sparring_trainer.learning.divergence import check_finite, diverged
from sparring_trainer.learning.examples import Example
from sparring_trainer.learning.losses import NotFinite
from sparring_trainer.learning.models import writing
from sparring_trainer.learning.objectives import PAIR_METRICS, Measured, kl_sums, measure
from sparring_trainer.learning.saving import SaveToGoOn

OnBatch: TypeAlias = Callable[[int, int], None]
"""Called after each micro-batch of scoring with how many are done, and of how many."""


class Listener(Protocol):
    """Is told how the training goes, in each process."""

    def phase(self, name: PhaseName, done: int = 0, total: int | None = None) -> None:
        """What the training does now."""

    def step(self, step: int, metrics: dict[str, float]) -> None:
        """An optimizer step is done; steps count from 1."""

    def saved(self, checkpoint: Path) -> None:
        """All processes have written their part of a checkpoint; told to the first only."""


_OPTIMIZERS = {"rmsprop": "rmsprop", "adamw": "adamw_torch"}


def training_arguments(folder: Path, config: TrainingConfig, seed: int, device: DeviceName = "auto") -> TrainingArguments:
    """The Trainer's arguments; creating them also sets up the device and the process group. `folder` gets checkpoints.

    Raises Unavailable where torch is built for GPUs and finds none, see `trains_on_cpu`.
    """
    # Where torch prefers cuDNN's attention (Hopper), that plans anew for each of our many lengths.
    torch.backends.cuda.enable_cudnn_sdp(False)
    return TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=1,
        num_train_epochs=1,
        learning_rate=config.learning_rate,
        optim=_OPTIMIZERS[config.optimizer],
        lr_scheduler_type=config.schedule,
        warmup_steps=config.warmup_ratio,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        bf16=config.precision == "bf16",
        use_cpu=use_cpu(device),
        seed=seed,
        save_strategy="no",  # `SaveToGoOn` says when
        logging_steps=1,
        logging_nan_inf_filter=False,
        remove_unused_columns=False,
        use_cache=True,  # written into the checkpoint's config; training itself never caches
        ddp_find_unused_parameters=False,
        disable_tqdm=True,
        report_to=[],
    )


def enable_gradient_checkpointing(model: PreTrainedModel) -> None:
    """Recompute each layer in the backward pass; the modules inside stay in evaluation mode, so dropout stays off."""
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    for module in model.modules():
        if isinstance(module, GradientCheckpointingLayer):
            module.training = True


@torch.no_grad()
def score(
    model: nn.Module,
    examples: Sequence[Example],
    config: TrainingConfig,
    arguments: TrainingArguments,
    on_batch: OnBatch = lambda done, total: None,
) -> NDArray[np.float32]:
    """log pi of the chosen and the rejected answer of every example, [N, 2], in the numerics of the training.

    Several processes share the work; all get the whole result.
    """
    batches = micro_batches(range(len(examples)), [example.length for example in examples], config.micro_batch_tokens)
    scored: list[tuple[int, list[float]]] = []
    mine = batches[arguments.process_index :: arguments.world_size]
    for number, pairs in enumerate(mine, 1):
        tensors = [tensor.to(arguments.device) for tensor in rows([examples[pair] for pair in pairs])]
        with torch.autocast(arguments.device.type, dtype=torch.bfloat16, enabled=config.precision == "bf16"):
            logprobs = model(*tensors)
        scored += zip(pairs, logprobs.view(2, -1).T.tolist(), strict=True)
        on_batch(number, len(mine))
    return np.array([pair for _, pair in sorted(gather_object(scored))], dtype=np.float32)


class StepTrainer(Trainer):
    """Trains `model`, which scores answers (`logprobs.bind_scoring`), through the optimizer steps of `steps`."""

    def __init__(
        self,
        model: PreTrainedModel,
        arguments: TrainingArguments,
        steps: Steps,
        *,
        algorithm: Algorithm,
        schedule_steps: int,
        save_seconds: float,
        listener: Listener,
    ) -> None:
        super().__init__(model=model, args=arguments, train_dataset=steps, callbacks=[SaveToGoOn(save_seconds)])
        self._steps = steps
        self._algorithm = algorithm
        self._schedule_steps = schedule_steps
        self._listener = listener
        self._step_metrics: dict[str, float] = {}
        self._told: dict[str, float] = {}

    @staticmethod
    def get_optimizer_cls_and_kwargs(
        args: TrainingArguments, model: PreTrainedModel | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """The Trainer's, one weight at a time: all at once, as torch does on a GPU, a step holds one more copy of them."""
        kind, options = Trainer.get_optimizer_cls_and_kwargs(args, model)
        return kind, options | {"foreach": False}

    def get_train_dataloader(self) -> DataLoader[Any]:
        """The steps in their order; what a process gets of a step is already settled."""
        return DataLoader(self._steps, batch_size=1, collate_fn=itemgetter(0))

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: torch.device) -> tuple[list[Any], None]:
        """One step; nothing is counted, since the loss is a mean over pairs."""
        return [next(epoch_iterator) for _ in range(num_batches)], None

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> torch.optim.lr_scheduler.LRScheduler:
        """Lay the schedule out over `schedule_epochs`, of which only `train_epochs` are run."""
        return super().create_scheduler(self._schedule_steps, optimizer)

    def training_step(self, model: nn.Module, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """Backward through all micro-batches of a step; returns the mean loss over its pairs.

        The model stays in evaluation mode, so that dropout is off. Gradients of several processes are averaged by the
        wrapper, so each process's sum is divided by its share of all pairs.
        """
        pairs: int
        batches: list[MicroBatch]
        pairs, batches = inputs
        kto_kl = self._kto_kl(model, pairs, batches) if isinstance(self._algorithm, KtoConfig) else None
        total = torch.zeros(len(PAIR_METRICS), device=self.args.device)
        for number, batch in enumerate(batches):
            batch = batch.to(self.args.device)
            last = number == len(batches) - 1
            with nullcontext() if last else self.accelerator.no_sync(model):
                logprobs = model(batch.input_ids, batch.starts, batch.lengths)
                measured = self._measured(batch, logprobs, kto_kl)
                loss = batch.weight * measured.loss.sum() / pairs
                self.accelerator.backward(loss * self.args.world_size)
            total += batch.weight * measured.sums
            self._listener.phase("training", number + 1, len(batches))
        total = self.accelerator.reduce(total, reduction="sum")
        assert isinstance(total, torch.Tensor)
        means = total / pairs
        self._step_metrics = {"pairs": pairs, **dict(zip(PAIR_METRICS, means.tolist(), strict=True))}
        return means[0]

    def _measured(self, batch: MicroBatch, logprobs: torch.Tensor, kto_kl: torch.Tensor | None) -> Measured:
        try:
            return measure(self._algorithm, batch, logprobs, kto_kl)
        except NotFinite as error:
            raise diverged(f"step {self.state.global_step + 1}", str(error), self._told) from error

    @torch.no_grad()
    def _kto_kl(self, model: nn.Module, pairs: int, batches: Sequence[MicroBatch]) -> torch.Tensor:
        """KTO's KL estimates over all pairs of a step [2]: one forward pass more, so that no cut into micro-batches shows."""
        total = torch.zeros(2, device=self.args.device)
        for number, batch in enumerate(batches):
            batch = batch.to(self.args.device)
            total += kl_sums(batch, model(batch.input_ids, batch.starts, batch.lengths))
            self._listener.phase("training", number, len(batches))
        total = self.accelerator.reduce(total, reduction="sum")
        assert isinstance(total, torch.Tensor)
        return total / pairs

    def floating_point_ops(self, inputs: Any) -> int:
        """Not counted."""
        return 0

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Report a step; the Trainer's closing totals of its run are left out."""
        if "grad_norm" in logs:
            rates = {name: float(logs[name]) for name in ("learning_rate", "grad_norm")}
            metrics = self._step_metrics | rates
            check_finite(f"step {self.state.global_step}", metrics, self._told)
            self._told = metrics
            self._listener.step(self.state.global_step, metrics)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """The Trainer's, which counts only once all of it is on the disk."""
        self._listener.phase("saving")
        folder = Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}"
        with writing(folder):
            super()._save_checkpoint(model, trial)
            PartialState().wait_for_everyone()
            if self.args.process_index == 0:
                self._listener.saved(folder)
