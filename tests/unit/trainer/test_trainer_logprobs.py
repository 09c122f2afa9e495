from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
)

from sparring_shared.errors import InvalidInput
from sparring_trainer.learning import logprobs
from sparring_trainer.learning.logprobs import answer_logprobs, bind_scoring

SIZE: dict[str, Any] = {
    "vocab_size": 37,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
PADS: dict[str, Any] = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
IDS = torch.tensor([[3, 4, 5, 6, 7, 2], [8, 9, 2, 0, 0, 0], [5, 6, 7, 8, 0, 0]])
STARTS, LENGTHS = torch.tensor([2, 1, 4]), torch.tensor([4, 2, 0])


def model(kind: str) -> PreTrainedModel:
    torch.manual_seed(0)
    match kind:
        case "llama":
            made = LlamaForCausalLM(LlamaConfig(**SIZE, **PADS))
        case "tied":
            made = LlamaForCausalLM(LlamaConfig(**SIZE, **PADS, tie_word_embeddings=True))
        case "gemma2":
            config = Gemma2Config(**SIZE, **PADS, head_dim=8, num_key_value_heads=2, final_logit_softcapping=0.5)
            made = Gemma2ForCausalLM(config)
        case "cohere":
            made = CohereForCausalLM(CohereConfig(**SIZE, **PADS, logit_scale=3.0))
        case "granite":
            made = GraniteForCausalLM(GraniteConfig(**SIZE, **PADS, logits_scaling=0.1))
        case _:
            made = GPT2LMHeadModel(GPT2Config(vocab_size=37, n_embd=32, n_layer=2, n_head=4, n_positions=64))
    return made.eval()


def plain(made: PreTrainedModel, ids: Tensor, starts: Tensor, lengths: Tensor) -> Tensor:
    """The same from the model's own forward pass, with all logits and an attention mask, row by row."""
    sums: list[Tensor] = []
    for row, start, length in zip(ids, starts.tolist(), lengths.tolist(), strict=True):
        whole = row[None, : start + length]
        logits = type(made).forward(made, input_ids=whole, attention_mask=torch.ones_like(whole)).logits
        each = logits[0, :-1].log_softmax(-1).gather(-1, whole[0, 1:, None]).squeeze(-1)
        sums.append(each[start - 1 :].sum())
    return torch.stack(sums)


@pytest.mark.parametrize("kind", ["llama", "tied", "gemma2", "cohere", "granite", "gpt2"])
def test_log_probs_and_gradients_equal_those_of_full_logits(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logprobs, "CHUNK", 4)
    made = model(kind)
    bind_scoring(made)
    weights = torch.tensor([1.0, -2.0, 3.0])

    ours = made(IDS, STARTS, LENGTHS)
    ours_gradients = torch.autograd.grad((weights * ours).sum(), list(made.parameters()))
    theirs = plain(made, IDS, STARTS, LENGTHS)
    their_gradients = torch.autograd.grad((weights * theirs).sum(), list(made.parameters()))

    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    assert ours[2].item() == 0
    for ours_gradient, their_gradient in zip(ours_gradients, their_gradients, strict=True):
        torch.testing.assert_close(ours_gradient, their_gradient, atol=2e-5, rtol=1e-4)


def test_no_more_logits_are_in_memory_at_once_than_a_large_vocabulary_leaves_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    made = model("llama")
    wanted = answer_logprobs(made, IDS, STARTS, LENGTHS)
    made.lm_head.register_forward_hook(lambda _, inputs, __: rows.append(len(inputs[0])))
    answer_logprobs(made, IDS, STARTS, LENGTHS)
    monkeypatch.setattr(logprobs, "CHUNK_LOGITS", 5 * 37 - 1)
    cut = answer_logprobs(made, IDS, STARTS, LENGTHS)

    assert rows == [6, 4, 2]
    torch.testing.assert_close(cut, wanted, atol=1e-6, rtol=0)
    monkeypatch.undo()
    assert [logprobs.chunk_tokens(words) for words in (512, 32_000, 128_256, 262_144, 1 << 30)] == [1024, 1024, 523, 256, 1]


def test_padding_does_not_matter() -> None:
    made = model("llama").double()
    padded = torch.cat([IDS, torch.full((3, 9), 17)], dim=1)

    alone = answer_logprobs(made, IDS, STARTS, LENGTHS)

    assert alone.dtype == torch.float64
    torch.testing.assert_close(answer_logprobs(made, padded, STARTS, LENGTHS), alone, atol=1e-12, rtol=0)


def test_an_architecture_with_its_own_logits_is_refused() -> None:
    class Twice(LlamaForCausalLM):
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            output: Any = super().forward(*args, **kwargs)
            output.logits = output.logits * 20
            return output

    with pytest.raises(InvalidInput, match="Twice makes its logits in a way that the trainer does not know"):
        bind_scoring(Twice(LlamaConfig(**SIZE, **PADS)).eval())
