"""The demo policy: a small Llama with its own byte-level BPE tokenizer and chat template."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

PAD: Final = "<|pad|>"
BOS: Final = "<|bos|>"
END: Final = "<|end|>"
ROLES: Final = ("<|system|>", "<|user|>", "<|assistant|>")
VOCABULARY: Final = 512
CONTEXT: Final = 256
# The template alone writes BOS: the tokenizer has no post-processor, so BOS can never be there twice.
CHAT_TEMPLATE: Final = (
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{% if message['role'] not in ['system', 'user', 'assistant'] %}"
    "{{ raise_exception('roles are system, user and assistant') }}"
    "{% endif %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def train_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of VOCABULARY entries learnt from the texts, with the chat template."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=[PAD, BOS, END, *ROLES],
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=BOS,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=list(ROLES),
        clean_up_tokenization_spaces=False,
        model_max_length=CONTEXT,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def new_policy(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """An untrained policy for a tokenizer; its generation stops at the end of the turn."""
    pad, bos, end = (tokenizer.backend_tokenizer.token_to_id(token) for token in (PAD, BOS, END))
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=336,
        num_hidden_layers=4,
        num_attention_heads=4,  # heads of 32, the smallest size that vLLM's CPU attention takes
        num_key_value_heads=4,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        pad_token_id=pad,
        bos_token_id=bos,
        eos_token_id=end,
    )
    model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(
        pad_token_id=pad, bos_token_id=bos, eos_token_id=end, do_sample=True, temperature=1.0, top_p=1.0, top_k=0
    )
    return model


def chat_ids(tokenizer: PreTrainedTokenizerFast, prompt: str, system: str | None = None) -> list[int]:
    """Token ids of a conversation that is waiting for the assistant's answer to `prompt`."""
    messages = [{"role": "user", "content": prompt}]
    if system is not None:
        messages.insert(0, {"role": "system", "content": system})
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return tokenizer.encode(str(text), add_special_tokens=False)


def save_policy(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """Write the Hugging Face directory; weights as fp16. The model itself stays fp32."""
    model.half().save_pretrained(out)
    model.float()
    tokenizer.save_pretrained(out, save_jinja_files=False)
    about = json.loads((out / "tokenizer_config.json").read_text(encoding="utf-8"))
    # Names that transformers 4 knows as well.
    about["tokenizer_class"] = "PreTrainedTokenizerFast"
    about["additional_special_tokens"] = about.pop("extra_special_tokens")
    del about["backend"]
    (out / "tokenizer_config.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    for file in out.iterdir():
        file.chmod(0o644)
