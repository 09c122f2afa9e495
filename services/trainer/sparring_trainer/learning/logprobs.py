"""Log-probs of whole answers, without logits of all positions: only answer positions meet the LM head, a chunk at a time.

Covers decoder-only Hugging Face models whose logits are the output embedding of the base model's last hidden state, scaled
(`logit_scale`, `logits_scaling`) or soft-capped (`final_logit_softcapping`) as their config says: Llama, Mistral, Qwen,
Gemma, Phi, Cohere, Granite and their like. `bind_scoring` compares with the model's own logits and refuses any other.
"""

from collections.abc import Sequence
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from sparring_shared.errors import InvalidInput

CHUNK = 1024
"""Answer tokens whose logits are in memory at once, unless they are more than CHUNK_LOGITS."""
CHUNK_LOGITS = 1 << 26
"""256 MiB in fp32; the backward pass holds four times as much."""


def answer_logprobs(model: PreTrainedModel, input_ids: Tensor, starts: Tensor, lengths: Tensor) -> Tensor:
    """Sum over each answer of log pi(token), in nats, fp32: shape [B].

    `input_ids` [B, L] are prompt and answer, padded on the right; the answer of row b has `lengths[b]` tokens from position
    `starts[b]` >= 1 on. No attention mask is needed: under causal attention nothing looks at the padding behind it.
    """
    hidden = model.base_model(input_ids=input_ids, use_cache=False).last_hidden_state
    position = torch.arange(input_ids.shape[1], device=input_ids.device)
    answered = (position >= starts[:, None]) & (position < (starts + lengths)[:, None])
    # The hidden state before a token is the one that predicts it.
    scored = token_logprobs(model, hidden[:, :-1][answered[:, 1:]], input_ids[answered])
    # Summing row by row keeps the result deterministic on a GPU, where index_add is not.
    return torch.stack([row.sum() for row in scored.split(lengths.tolist())])


def chunk_tokens(vocabulary: int) -> int:
    """How many tokens meet the head at once; 523 for a vocabulary of 128k."""
    return max(1, min(CHUNK, CHUNK_LOGITS // vocabulary))


def token_logprobs(model: PreTrainedModel, hidden: Tensor, targets: Tensor) -> Tensor:
    """log pi(target) in nats, fp32 (or wider, as the model is), of `hidden` [N, H] and `targets` [N]: shape [N].

    The logits of a chunk are computed again in the backward pass rather than kept.
    """
    tokens = chunk_tokens(model.config.get_text_config().vocab_size)
    scored = [
        checkpoint(_chunk_logprobs, model, some, target, use_reentrant=False)
        for some, target in zip(hidden.split(tokens), targets.split(tokens), strict=True)
    ]
    return torch.cat([part for part in scored if part is not None]) if scored else hidden.new_zeros(0)


def _chunk_logprobs(model: PreTrainedModel, hidden: Tensor, targets: Tensor) -> Tensor:
    head = model.get_output_embeddings()
    assert isinstance(head, nn.Module)
    logits = _adjusted(head(hidden), model.config.get_text_config().to_dict())
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return logits.gather(-1, targets[:, None]).squeeze(-1) - logits.logsumexp(-1)


def _adjusted(logits: Tensor, config: dict[str, Any]) -> Tensor:
    """What Cohere (`logit_scale`), Granite (`logits_scaling`) and Gemma (`final_logit_softcapping`) do to the logits."""
    if scale := config.get("logit_scale"):
        logits = logits * scale
    if scaling := config.get("logits_scaling"):
        logits = logits / scaling
    if cap := config.get("final_logit_softcapping"):
        logits = cap * torch.tanh(logits / cap)
    return logits


def _forward(self: PreTrainedModel, input_ids: Tensor, starts: Tensor, lengths: Tensor) -> Tensor:
    return answer_logprobs(self, input_ids, starts, lengths)


def bind_scoring(model: PreTrainedModel) -> None:
    """From now on `model(input_ids, starts, lengths)` is `answer_logprobs`, so that wrappers such as DDP see one forward.

    Raises InvalidInput for an architecture whose own logits say otherwise.
    """
    ids = list(range(min(16, model.config.get_text_config().vocab_size)))
    own = full_logprobs(model, ids)
    if (own - _scored(model, ids)).abs().max().item() > 1e-2:
        raise InvalidInput(
            f"{type(model).__name__} makes its logits in a way that the trainer does not know; "
            "use a model whose logits are its output embedding of the last hidden state."
        )
    model.forward = MethodType(_forward, model)


@torch.no_grad()
def full_logprobs(model: PreTrainedModel, ids: Sequence[int]) -> Tensor:
    """log pi(ids[i + 1] | ids[: i + 1]) by the model's own forward pass, shape [len(ids) - 1], in fp32 on the CPU."""
    row = torch.tensor([list(ids)], device=model.device)
    logits = type(model).forward(model, input_ids=row, use_cache=False).logits[0, :-1].float()
    return logits.log_softmax(-1).gather(-1, row[0, 1:, None]).squeeze(-1).cpu()


@torch.no_grad()
def _scored(model: PreTrainedModel, ids: Sequence[int]) -> Tensor:
    row = torch.tensor([list(ids)], device=model.device)
    hidden = model.base_model(input_ids=row, use_cache=False).last_hidden_state
    return token_logprobs(model, hidden[0, :-1], row[0, 1:]).cpu()
