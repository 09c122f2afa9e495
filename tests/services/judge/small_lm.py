"""Random language models small enough for tests, with a byte tokenizer and a chat template of their own."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertTokenizer,
    Gemma2Config,
    Gemma2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    PreTrainedTokenizerFast,
)

SPECIAL = ["<pad>", "<s>", "</s>", "<|user|>", "<|assistant|>"]
BYTES = sorted(pre_tokenizers.ByteLevel.alphabet())
VOCABULARY = [*SPECIAL, *BYTES]
A, B = VOCABULARY.index("A"), VOCABULARY.index("B")
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system here') }}{% endif %}"
    "<|{{ m.role }}|>{{ m.content }}</s>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SHAPE: dict[str, Any] = {
    "vocab_size": len(VOCABULARY),
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "max_position_embeddings": 1024,
    "initializer_range": 0.2,
    "pad_token_id": None,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def byte_tokenizer(template: str | None = TEMPLATE) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE(vocab={token: at for at, token in enumerate(VOCABULARY)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIAL)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", model_max_length=1024)
    fast.chat_template = template
    return fast


def write_llama_judge(folder: Path, seed: int = 0) -> Path:
    """A random Llama that always answers A or B: their logits have what no text can change over all others."""
    torch.manual_seed(seed)
    model = LlamaForCausalLM(LlamaConfig(**SHAPE, tie_word_embeddings=False))
    weights = model.state_dict()
    # The first hidden number is the same at all places and in all layers; the head gives it to the two letters.
    weights["model.embed_tokens.weight"][:, 0] = 4.0
    for name, weight in weights.items():
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            weight[0] = 0.0
    weights["lm_head.weight"][:, 0] = 0.0
    weights["lm_head.weight"][[A, B], 0] = 20.0
    model.save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


def write_gemma_judge(folder: Path) -> Path:
    """A random Gemma: its head is its embedding, and its logits are capped."""
    torch.manual_seed(1)
    Gemma2ForCausalLM(Gemma2Config(**SHAPE, final_logit_softcapping=3.0)).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


def write_llama_reward(folder: Path, labels: int = 1) -> Path:
    """A random reward model, a decoder without a padding token."""
    torch.manual_seed(2)
    shape: dict[str, Any] = SHAPE | {"num_labels": labels}
    LlamaForSequenceClassification(LlamaConfig(**shape)).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


def write_bert_reward(folder: Path) -> Path:
    """A random reward model, an encoder of two texts without a chat template."""
    torch.manual_seed(3)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "what", "is", "zinc", "?", "a", "metal", "fruit", "no"]
    shape: dict[str, Any] = {
        "vocab_size": len(words),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
        "initializer_range": 0.3,
        "num_labels": 1,
    }
    BertForSequenceClassification(BertConfig(**shape)).save_pretrained(folder)
    BertTokenizer(vocab={word: at for at, word in enumerate(words)}, model_max_length=64).save_pretrained(folder)
    return folder
