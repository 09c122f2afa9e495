"""Point 7: one step from bf16 weights at a small rate, and what of it is left when the result is rounded to bf16 again."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedModel

from sparring_shared.run_config import TrainingConfig
from sparring_trainer.learning.batches import rows
from sparring_trainer.learning.examples import Example
from sparring_trainer.learning.logprobs import answer_logprobs, bind_scoring

from .llama import LLAMA_1B, TINY, cast_weights, llama, random_pairs
from .records import Notebook, Setting
from .stepping import prepare

RATE = 2.8e-7


def nearest(weight: Tensor) -> Tensor:
    """The nearest bf16 value of each fp32 weight, in fp32."""
    return weight.bfloat16().float()


def stochastic(weight: Tensor) -> Tensor:
    """One of the two bf16 values around each fp32 weight, the nearer the likelier, so that the mean is the weight."""
    noise = torch.randint(0, 1 << 16, weight.shape, device=weight.device, dtype=torch.int32)
    return ((weight.view(torch.int32) + noise) & -(1 << 16)).view(torch.float32)


def rounding(setting: Setting, notebook: Notebook) -> None:
    """The step in fp32, then both roundings of its result, each on a copy of the weights that is kept in host memory."""
    shape = TINY if setting.tiny else LLAMA_1B
    model = llama(shape, setting.device, torch.bfloat16)
    cast_weights(model, torch.float32)
    bind_scoring(model)
    size = 8 if setting.tiny else 256
    examples = random_pairs(4 if setting.tiny else 16, shape.vocab_size, prompt=size, answer=size)
    config = TrainingConfig(learning_rate=RATE, schedule="constant_with_warmup", warmup_ratio=0.0, gradient_checkpointing=True)
    before = _in_host_memory(model)
    base = _logprobs(model, examples)
    prepare(model, examples, config, Path(setting.folder), 1, lambda _: None).train()
    after = _in_host_memory(model)
    moved = torch.cat([(new - old).abs().flatten() for new, old in zip(after, before, strict=True)])
    stepped = _logratios(model, examples, base)
    notebook.add(
        weights=len(moved),
        median_move=moved[:: max(1, len(moved) // 1_000_000)].median().item(),
        fp32={"share_changed": (moved > 0).double().mean().item()} | stepped,
    )
    del moved
    torch.manual_seed(0)
    for name, rounded in (("nearest", nearest), ("stochastic", stochastic)):
        changed = _load(model, before, after, rounded)
        found = {"share_changed": changed} | _logratios(model, examples, base)
        notebook.add(**{name: found | {"share_of_margin": found["margin"] / stepped["margin"]}})


def _in_host_memory(model: PreTrainedModel) -> list[Tensor]:
    return [weight.detach().to("cpu", copy=True) for weight in model.parameters()]


@torch.no_grad()
def _logprobs(model: PreTrainedModel, examples: list[Example]) -> Tensor:
    """log pi of the chosen and rejected answers [N, 2] in fp32, past the autocast that the Trainer puts around `forward`."""
    pairs = [answer_logprobs(model, *(one.to(model.device) for one in rows([example]))) for example in examples]
    return torch.stack(pairs).double().cpu()


def _logratios(model: PreTrainedModel, examples: list[Example], base: Tensor) -> dict[str, float]:
    """Mean log-ratios to the weights before the step, in nats."""
    chosen, rejected = (_logprobs(model, examples) - base).mean(0).tolist()
    return {"chosen_logratio": chosen, "rejected_logratio": rejected, "margin": chosen - rejected}


@torch.no_grad()
def _load(model: PreTrainedModel, before: list[Tensor], after: list[Tensor], rounded: Callable[[Tensor], Tensor]) -> float:
    """Put the rounded weights into the model; the share of them that differ from those before the step."""
    changed = total = 0
    for weight, old, new in zip(model.parameters(), before, after, strict=True):
        weight.copy_(rounded(new.to(weight.device)))
        changed += int((weight != old.to(weight.device)).sum().item())
        total += weight.numel()
    return changed / total
