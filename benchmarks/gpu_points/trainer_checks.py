"""Point 2: the trainer on the device against plain fp32 on the CPU; killed and taken up again; its probe; without a card."""

import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from transformers import PreTrainedModel

from sparring_shared.errors import SparringError
from sparring_shared.probe import max_difference, read_probe
from sparring_shared.run_config import TrainingConfig
from sparring_trainer.job.inner_checkpoints import latest
from sparring_trainer.job.training import train
from sparring_trainer.learning.batches import Anchors, Steps
from sparring_trainer.learning.examples import Example
from sparring_trainer.learning.logprobs import bind_scoring, full_logprobs
from sparring_trainer.learning.loop import training_arguments
from sparring_trainer.learning.models import load_model
from sparring_trainer.learning.objectives import measure

from .llama import TINY, llama, random_pairs
from .processes import play
from .records import Findings, Notebook, Setting
from .small_run import PAIRS, steps_of, write_base, write_job
from .stepping import ALGORITHM, prepare, trained_on


def trainer(setting: Setting, notebook: Notebook) -> None:
    """All checks, one after another."""
    folder = Path(setting.folder)
    notebook.add(against_fp32=against_fp32(setting.device, folder))
    notebook.add(**killed_and_resumed(setting))
    built_for_cuda = torch.version.cuda is not None
    refused = play("gpu_points.trainer_checks:no_card", replace(setting, device="cpu", seconds=60)) if built_for_cuda else None
    notebook.add(no_card=refused.findings if refused else "this torch is built for CPUs")


def against_fp32(device: str, folder: Path) -> Findings:
    """bf16 with gradient checkpointing on the device against fp32 on the CPU without the trainer's loop.

    Log-probs as the largest difference per token in nats; the gradient as its cosine with the exact one and their norms' ratio.
    """
    examples = random_pairs(6, TINY.vocab_size, prompt=12, answer=20, spread=0.5)
    exact = _bound(llama(TINY, "cpu"))
    model = _bound(llama(TINY, "cpu")).to(device)  # pyright: ignore[reportArgumentType]  # transformers annotates `to` wrongly
    config = TrainingConfig(gradient_checkpointing=True, batch_size=len(examples), micro_batch_tokens=128)
    gradients: list[torch.Tensor] = []

    def on_stage(stage: str) -> None:
        if stage.startswith("backward"):
            gradients.append(_gradient(model).cpu())

    looped = prepare(model, examples, config, folder, 1, on_stage)
    looped.train()
    scored = torch.from_numpy(looped.anchors)
    wanted = _exact_gradient(exact, examples, looped.anchors)
    tokens = torch.tensor([[len(one.chosen_ids), len(one.rejected_ids)] for one in examples])
    return {
        "logprob_per_token_differs_by": ((scored - _scores(exact, examples)).abs() / tokens).max().item(),
        "gradient_cosine": torch.cosine_similarity(gradients[0].double(), wanted.double(), dim=0).item(),
        "gradient_norm_ratio": (gradients[0].norm() / wanted.norm()).item(),
        "weights_finite": all(bool(weight.isfinite().all()) for weight in model.parameters()),
    }


def killed_and_resumed(setting: Setting) -> Findings:
    """The same job run to its end, and killed after an inner checkpoint and taken up again; and the probe it published.

    `resumed_over_moved` is how far the two results lie apart, over how far the job moved the weights.
    """
    folder = Path(setting.folder)
    base = write_base(folder, TINY, setting.device, pairs=PAIRS, answer=16)
    whole, broken = (write_job(folder, name, base) for name in ("whole", "broken"))
    train(whole, checkpoint_seconds=0, device=trained_on(setting.device))
    arguments = {"job": str(broken.root), "at_step": 4}
    outcome = play("gpu_points.small_run:train_until_killed", replace(setting, seconds=90), **arguments)
    if outcome.note is None or signal.Signals.SIGKILL.name not in outcome.note:
        raise RuntimeError(f"The job that was to be killed ended otherwise: {outcome.note}")
    checkpoint = latest(broken.checkpoints)
    train(broken, checkpoint_seconds=0, device=trained_on(setting.device))
    published = [folder / f"trained-{name}" for name in ("whole", "broken")]
    return {
        "resumed_from": checkpoint.name if checkpoint else None,
        "steps_of_resumed": steps_of(broken),
        "resumed_over_moved": _distance(*published) / _distance(published[0], Path(base.path)),
        "probe_differs_by": probe_difference(published[0], setting.device),
    }


def probe_difference(folder: Path, device: str) -> float:
    """The largest difference in nats of a checkpoint's stored probe to what the reloaded folder says on the device."""
    probe = read_probe(folder)
    assert probe is not None
    model = load_model(folder).to(device)  # pyright: ignore[reportArgumentType]  # transformers annotates `to` wrongly
    return max_difference(probe.logprobs, tuple(full_logprobs(model, probe.token_ids).tolist()))


def no_card(setting: Setting, notebook: Notebook) -> None:
    """What the trainer does where no card is in sight: a torch that is built for CUDA must refuse."""
    try:
        arguments = training_arguments(Path(setting.folder), TrainingConfig(), seed=0)
        notebook.add(refused=False, device=str(arguments.device))
    except SparringError as error:
        notebook.add(refused=True, said=error.message)


def _bound(model: PreTrainedModel) -> PreTrainedModel:
    bind_scoring(model)
    return model


@torch.no_grad()
def _scores(model: PreTrainedModel, examples: list[Example]) -> torch.Tensor:
    rows = [[(one.prompt_ids, ids) for ids in (one.chosen_ids, one.rejected_ids)] for one in examples]
    return torch.tensor([[_score(model, *answer).item() for answer in pair] for pair in rows])


def _score(model: PreTrainedModel, prompt: tuple[int, ...], answer: tuple[int, ...]) -> torch.Tensor:
    return model(torch.tensor([prompt + answer]), torch.tensor([len(prompt)]), torch.tensor([len(answer)]))[0]


def _exact_gradient(model: PreTrainedModel, examples: list[Example], anchors: NDArray[np.float32]) -> torch.Tensor:
    """The gradient of one step over all pairs, without loop, autocast or checkpointing."""
    pairs, batches = Steps(examples, Anchors(anchors, anchors), [list(range(len(examples)))], budget=1_000_000)[0]
    for batch in batches:
        (measure(ALGORITHM, batch, model(batch.input_ids, batch.starts, batch.lengths)).loss.sum() / pairs).backward()
    return _gradient(model)


def _gradient(model: PreTrainedModel) -> torch.Tensor:
    return torch.cat([weight.grad.float().flatten() for weight in model.parameters() if weight.grad is not None])


def _distance(one: Path, other: Path) -> float:
    """The norm of the difference of two checkpoints' weights."""
    left, right = (load_file(folder / "model.safetensors") for folder in (one, other))
    return sum((left[name].float() - right[name].float()).square().sum().item() for name in left) ** 0.5
