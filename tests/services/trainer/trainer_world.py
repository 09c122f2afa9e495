"""A tiny random Llama with a tokenizer and chat template, and pairs that it might have sampled."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from fastapi.testclient import TestClient
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from sparring_shared.artifacts import weights_digest, write_records
from sparring_shared.records import Message, Pair
from sparring_shared.settings import FolderSettings
from sparring_shared.wire.trainer import CheckpointRef, JobRequest
from sparring_trainer.settings import TrainerSettings

CHAT_TEMPLATE = (
    "<s>{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
Service = Callable[..., TestClient]

ANSWERS = ("a metal", "it is zinc", "nobody knows", "blue", "rust, mostly", "the second one of these two")


@dataclass(frozen=True, slots=True)
class World:
    """A run directory with a base model of its own."""

    root: Path
    model: Path
    pairs: Path
    base: CheckpointRef
    folders: FolderSettings

    def request(self, output: str = "1", **changed: object) -> JobRequest:
        body: dict[str, object] = {
            "policy": self.base,
            "pairs": [str(self.pairs)],
            "output": str(self.root / "runs" / "checkpoints" / output),
            "version": 1,
            "algorithm": {"name": "sppo", "eta": 10.0},
            "training": {
                "learning_rate": 2e-4,
                "batch_size": 4,
                "train_epochs": 5,
                "schedule_epochs": 10,
                "micro_batch_tokens": 120,
                "max_length": 64,
                "max_prompt_length": 32,
                "precision": "fp32",
            },
            "seed": 1,
        }
        return JobRequest.model_validate({**body, **changed})

    def settings(self, **changed: object) -> TrainerSettings:
        return TrainerSettings.model_validate({"dir": self.root / "jobs", "threads": 1, "checkpoint_minutes": 0, **changed})


def save_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    made = Tokenizer(models.BPE(byte_fallback=False))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    special = ["<pad>", "<s>", "</s>", "<user>", "<assistant>", "<system>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(ANSWERS, trainers.BpeTrainer(vocab_size=300, special_tokens=special, initial_alphabet=alphabet))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", bos_token="<s>", eos_token="</s>")
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    return tokenizer


def save_model(folder: Path, seed: int) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=320,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=128,
        attention_dropout=0.1,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    model = LlamaForCausalLM(config).eval()
    model.save_pretrained(folder)
    return model


@torch.no_grad()
def logprob(model: LlamaForCausalLM, prompt: list[int], answer: list[int]) -> float:
    ids = torch.tensor([prompt + answer])
    scores = model(input_ids=ids).logits[0, :-1].log_softmax(-1).gather(-1, ids[0, 1:, None])
    return scores[len(prompt) - 1 :].sum().item()


def make_pairs(tokenizer: PreTrainedTokenizerFast, model: LlamaForCausalLM, base: CheckpointRef, count: int) -> Iterator[Pair]:
    draw = random.Random(0)
    for number in range(count):
        prompt = (Message(role="user", content="zinc? " * draw.randint(1, 3)),)
        ids: Any = tokenizer.apply_chat_template(
            [one.model_dump() for one in prompt], add_generation_prompt=True, return_dict=False
        )
        texts = draw.sample(ANSWERS, 2)
        answers = [[*tokenizer.encode(text), 2] for text in texts]
        logprobs = [logprob(model, ids, answer) for answer in answers]
        yield Pair(
            prompt_id=str(number),
            prompt=prompt,
            chosen=(Message(role="assistant", content=texts[0]),),
            rejected=(Message(role="assistant", content=texts[1]),),
            prompt_token_ids=tuple(ids),
            chosen_token_ids=tuple(answers[0]),
            rejected_token_ids=tuple(answers[1]),
            chosen_logprob=logprobs[0],
            rejected_logprob=logprobs[1],
            chosen_win_rate=0.8,
            rejected_win_rate=0.2,
            chosen_beats_rejected=0.9,
            chosen_index=0,
            rejected_index=1,
            policy=base.policy,
        )


def make_world(root: Path) -> World:
    """A base model with 18 pairs that it sampled, under `root`."""
    folder = root / "models" / "base"
    model, tokenizer = save_model(folder, 0), save_tokenizer(folder)
    base = CheckpointRef(version=0, digest=weights_digest(folder), path=str(folder))
    pairs = root / "runs" / "pairs" / "00000.parquet"
    write_records(pairs, Pair, make_pairs(tokenizer, model, base, 18))
    folders = FolderSettings(runs_dir=root / "runs", model_roots=str(root / "models"))
    return World(root, folder, pairs, base, folders)
