"""Random Llamas with their own byte tokenizer, as published checkpoints, and what Hugging Face says of their log-probs."""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from sparring_shared.artifacts import publish_checkpoint, weights_digest
from sparring_shared.probe import Probe, write_probe
from sparring_shared.wire.generator import PolicyLoad

SPECIAL = ["<pad>", "<s>", "</s>"]
END = 2
BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())
VOCAB = len(SPECIAL) + len(BYTES)
A, B = (len(SPECIAL) + BYTES.index(letter) for letter in "AB")
TEMPLATE = (
    "<s>{% if clock is defined %}{{ strftime_now(clock) }}</s>{% endif %}"
    "{% for message in messages %}{{ message.role }}: {{ message.content }}</s>{% endfor %}"
)
PROBE_TOKENS = tuple(range(3, 43))


class Checkpoint(NamedTuple):
    """A published folder."""

    folder: Path
    digest: str

    def load(self, version: int) -> PolicyLoad:
        """The request that loads it."""
        return PolicyLoad(version=version, digest=self.digest, path=str(self.folder))


def make_tokenizer() -> PreTrainedTokenizerFast:
    tokens = {token: index for index, token in enumerate([*SPECIAL, *BYTES])}
    tokenizer = Tokenizer(models.BPE(vocab=tokens, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIAL)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>")
    fast.chat_template = TEMPLATE
    return fast


def write_llama(folder: Path, seed: int, hidden: int = 64, letters: bool = False) -> Path:
    """Save a random Llama: weights far from zero, so that two seeds disagree by nats; `letters`: it always answers A or B."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCAB,
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=512,
        initializer_range=0.2,
        tie_word_embeddings=True,  # the output head then follows a reload only if it is made anew
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=END,
    )
    model = LlamaForCausalLM(config)
    if letters:
        _prefer_letters(model)
    model.save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


def _prefer_letters(model: LlamaForCausalLM) -> None:
    """After the end of a turn A and B get what no text can change over all other tokens."""
    weights = model.state_dict()
    for name, weight in weights.items():
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            weight[0] = 0.0  # the first hidden number stays what the token's embedding says
    embedded = weights["model.embed_tokens.weight"]
    embedded[:, 0] = 0.0
    embedded[END, 0] = 4.0
    embedded[[A, B], 0] = 20.0


def publish_llama(
    root: Path, name: str, seed: int, *, probe: bool = False, offset: float = 0.0, hidden: int = 64, letters: bool = False
) -> Checkpoint:
    """A published random Llama; `probe` stores the log-probs that Hugging Face computes, lowered by `offset`."""
    temporary = write_llama(root / f".{name}", seed, hidden, letters)
    if probe:
        values = token_logprobs(temporary, PROBE_TOKENS)
        write_probe(temporary, Probe(token_ids=PROBE_TOKENS, logprobs=tuple(value - offset for value in values)))
    digest = publish_checkpoint(temporary, root / name, version=1)
    assert weights_digest(root / name) == digest
    return Checkpoint(root / name, digest)


@cache
def _model(folder: Path) -> LlamaForCausalLM:
    return LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def token_logprobs(folder: Path, token_ids: tuple[int, ...]) -> tuple[float, ...]:
    """log pi of each token but the first, by Hugging Face in fp32."""
    ids = torch.tensor([token_ids])
    with torch.inference_mode():
        logprobs = _model(folder)(ids).logits[0, :-1].log_softmax(-1)
    return tuple(logprobs.gather(1, ids[0, 1:, None])[:, 0].tolist())


def answer_logprob(folder: Path, prompt: list[int], answer: list[int]) -> float:
    """Sum of log pi over the tokens of the answer."""
    return sum(token_logprobs(folder, (*prompt, *answer))[len(prompt) - 1 :])
