"""Models of real shapes with random weights that are drawn where they are used, and pairs of random tokens."""

import random
from dataclasses import asdict, dataclass

import torch
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedModel

from sparring_trainer.learning.examples import Example

SEED = 20260401


@dataclass(frozen=True)
class Shape:
    """The shape of a decoder, by the names of its Hugging Face config."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    tie_word_embeddings: bool = False

    @property
    def layer_weights(self) -> int:
        """Weights in the matrices of all layers."""
        values = self.hidden_size * self.num_key_value_heads // self.num_attention_heads
        attention = 2 * self.hidden_size**2 + 2 * self.hidden_size * values
        return self.num_hidden_layers * (attention + 3 * self.hidden_size * self.intermediate_size)


MISTRAL_7B = Shape(32_000, 4096, 14_336, 32, 32, 8)
LLAMA_8B = Shape(128_256, 4096, 14_336, 32, 32, 8)
LLAMA_1B = Shape(128_256, 2048, 8192, 16, 32, 8, tie_word_embeddings=True)
TINY = Shape(512, 64, 96, 2, 4, 2)


def llama(shape: Shape, device: str, dtype: torch.dtype = torch.float32, seed: int = SEED) -> PreTrainedModel:
    """A random decoder, dropout off, its weights made on the device; rotary frequencies stay in fp32.

    A Mistral is a Llama of another shape at these lengths, which lie within its window.
    """
    torch.manual_seed(seed)
    config = LlamaConfig(**asdict(shape), max_position_embeddings=4096, pad_token_id=0, bos_token_id=1, eos_token_id=2)
    with torch.device(device):
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=dtype)
    return model.eval()


def cast_weights(model: PreTrainedModel, dtype: torch.dtype) -> None:
    """Turn the weights to a format in place, one at a time; `model.to` would turn the rotary frequencies as well."""
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)


def random_pairs(count: int, vocabulary: int, *, prompt: int, answer: int, spread: float = 0.0) -> list[Example]:
    """Pairs of random tokens; the lengths of prompts and answers vary by `spread`, as a share of them."""
    draw = random.Random(SEED)

    def ids(length: int) -> tuple[int, ...]:
        shortest = max(1, int(length * (1 - spread)))
        return tuple(draw.randrange(3, vocabulary) for _ in range(draw.randint(shortest, length)))

    return [Example(ids(prompt), ids(answer), ids(answer), (0.9, 0.2), (0.0, 0.0)) for _ in range(count)]


def training_flops(shape: Shape, examples: list[Example]) -> float:
    """Model FLOPs of one forward and backward pass over the pairs: no padding, and nothing computed twice counted.

    Two per weight and token, and half of the square of attention; the head meets answer tokens alone; backward is twice that.
    """
    forward = 0.0
    for example in examples:
        for answer in (example.chosen_ids, example.rejected_ids):
            tokens = len(example.prompt_ids) + len(answer)
            attention = 2 * shape.num_hidden_layers * shape.hidden_size * tokens**2
            forward += 2 * shape.layer_weights * tokens + attention + 2 * shape.vocab_size * shape.hidden_size * len(answer)
    return 3 * forward
