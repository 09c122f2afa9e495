"""A random judge small enough for tests, in the layout of PairRM-hf."""

import json
import time
from pathlib import Path
from typing import Any

import torch
from fastapi.testclient import TestClient
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import DebertaV2Config, DebertaV2Model

from sparring_judge.engines.by_name import load_engine
from sparring_judge.queue.background_judge import BackgroundJudge
from sparring_judge.service.app import create_app
from sparring_judge.settings import JudgeSettings

WORDS = ["zinc", "is", "a", "metal", "what", "gold", "the", "answer", "yes", "no"]
TAGS = ("<|source|>", "<|candidate1|>", "<|candidate2|>", "<|candidate|>")

SHAPE: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "relative_attention": True,
    "position_buckets": 32,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "type_vocab_size": 0,
    "initializer_range": 0.3,
}


def small_tokenizer() -> Tokenizer:
    pieces = [("[PAD]", 0.0), ("[CLS]", 0.0), ("[SEP]", 0.0), ("[UNK]", 0.0)]
    pieces += [("▁" + word, -3.0) for word in WORDS] + [(sign, -8.0) for sign in "▁abcdefghijklmnopqrstuvwxyz0123456789?.<|>"]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=3, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Strip(), normalizers.NFKC()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.add_special_tokens(["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"])
    tokenizer.add_tokens(list(TAGS))
    return tokenizer


def write_small_judge(folder: Path) -> Path:
    """A random judge in the layout of PairRM-hf."""
    torch.manual_seed(0)
    tokenizer = small_tokenizer()
    config = DebertaV2Config(vocab_size=tokenizer.get_vocab_size(), **SHAPE)
    weights = {f"pretrained_model.{name}": tensor for name, tensor in DebertaV2Model(config).state_dict().items()}
    weights |= {"head_layer.1.weight": torch.randn(32, 64) * 0.3, "head_layer.1.bias": torch.randn(32)}
    weights |= {"head_layer.4.weight": torch.randn(1, 32), "head_layer.4.bias": torch.randn(1)}
    folder.mkdir()
    save_file(weights, folder / "model.safetensors")
    tags = ("source_prefix_id", "cand1_prefix_id", "cand2_prefix_id")
    ids = {name: tokenizer.token_to_id(tag) for name, tag in zip(tags, TAGS, strict=False)}
    (folder / "config.json").write_text(json.dumps(config.to_dict() | ids), encoding="utf-8")
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def loaded_client(settings: JudgeSettings) -> TestClient:
    """The service over a judge that is loaded; enter it."""
    engine = load_engine(settings)
    return TestClient(create_app(settings, BackgroundJudge(lambda: engine, settings)))


def wait_until_ready(client: TestClient) -> None:
    """Poll /readyz until it says ready."""
    deadline = time.monotonic() + 60
    while (answer := client.get("/readyz")).status_code != 200:
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.01)
