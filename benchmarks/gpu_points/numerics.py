"""Point 6: what bf16 changes of log-probs: texts that the model sampled, in bf16 with both heads, against fp32."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from sparring_trainer.learning.logprobs import token_logprobs

from .llama import MISTRAL_7B, TINY, cast_weights, llama
from .records import Findings, Notebook, Setting

TEXTS, TOKENS = 50, 64
"""64 tokens have 63 log-probs."""
LOGIT_SPREAD = 4.0
"""Standard deviation of the logits, near that of a trained model; as they are drawn, random weights give almost none."""
TOLERANCE = 0.1
ROWS = 10
"""Texts computed at once."""


@torch.no_grad()
def logprobs(setting: Setting, notebook: Notebook) -> None:
    """All of one set of bf16 weights: computed in bf16 with a head in bf16 and in fp32, in fp32, and as the trainer does."""
    shape = TINY if setting.tiny else MISTRAL_7B
    model = llama(shape, setting.device, torch.bfloat16)
    head = model.get_output_embeddings()
    assert isinstance(head, nn.Linear)
    head.weight.mul_(LOGIT_SPREAD / (head.weight.float().std() * shape.hidden_size**0.5))
    texts = sampled(model, setting.device)
    found = {"bf16, head in bf16": token_logprobs_of(model, texts)}
    head.weight.data = head.weight.data.float()
    found["bf16, head in fp32"] = token_logprobs_of(model, texts, Tensor.float)
    cast_weights(model, torch.float32)
    exact = token_logprobs_of(model, texts)
    with torch.autocast(setting.device, dtype=torch.bfloat16):
        found["fp32 weights under autocast, as the trainer"] = token_logprobs_of(model, texts)
    notebook.add(mean_logprob=exact.mean().item(), logprob_spread=exact.std().item())
    notebook.add(**{name: differences(values, exact) for name, values in found.items()})


def sampled(model: PreTrainedModel, device: str) -> Tensor:
    """Texts [TEXTS, TOKENS] that the model itself samples, from one random token each."""
    torch.manual_seed(0)
    ids = torch.randint(3, model.config.vocab_size, (TEXTS, 1), device=device)
    head = model.get_output_embeddings()
    assert isinstance(head, nn.Module)
    while ids.shape[1] < TOKENS:
        last = model.base_model(input_ids=ids, use_cache=False).last_hidden_state[:, -1]
        ids = torch.cat((ids, torch.multinomial(head(last).float().softmax(-1), 1)), 1)
    return ids


def token_logprobs_of(
    model: PreTrainedModel, ids: Tensor, before_head: Callable[[Tensor], Tensor] = lambda hidden: hidden
) -> Tensor:
    """log pi of each token but the first [TEXTS, TOKENS - 1], in nats, with the trainer's own head."""
    parts: list[Tensor] = []
    for rows in ids.split(ROWS):
        hidden = before_head(model.base_model(input_ids=rows, use_cache=False).last_hidden_state[:, :-1])
        parts.append(token_logprobs(model, hidden.flatten(0, 1), rows[:, 1:].flatten()).view(len(rows), -1))
    return torch.cat(parts).double().cpu()


def differences(found: Tensor, exact: Tensor) -> Findings:
    """How far log-probs are from the exact ones, over all tokens; the mean of a text is what a check of that text sees."""
    gap = (found - exact).abs()
    return {
        "rms": gap.square().mean().sqrt().item(),
        "mean": gap.mean().item(),
        "maximum": gap.max().item(),
        "tokens_above_0.1": (gap > TOLERANCE).double().mean().item(),
        "texts_with_a_token_above_0.1": (gap.amax(1) > TOLERANCE).double().mean().item(),
        "largest_mean_of_a_text": gap.mean(1).max().item(),
    }
