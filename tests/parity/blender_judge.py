"""A random judge in the layout of llm-blender/PairRM, with its backbone beside it, small enough for tests."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import DebertaV2Config, DebertaV2Model

WORDS = ["zinc", "is", "a", "metal", "what", "gold", "the", "answer", "yes", "no"]
SIGNS = "▁abcdefghijklmnopqrstuvwxyz0123456789?.<|>"
TAGS = 4
HIDDEN = 32
SHAPE: dict[str, Any] = {
    "hidden_size": HIDDEN,
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


def _write_tokenizer(folder: Path) -> int:
    """How many tokens it has."""
    pieces = [("[PAD]", 0.0), ("[CLS]", 0.0), ("[SEP]", 0.0), ("[UNK]", 0.0)]
    pieces += [("▁" + word, -3.0) for word in WORDS] + [(sign, -8.0) for sign in SIGNS]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=3, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Strip(), normalizers.NFKC()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.add_special_tokens(["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    named = {"tokenizer_class": "DebertaV2Tokenizer", "vocab_type": "spm", "bos_token": "[CLS]", "eos_token": "[SEP]"}
    named |= {f"{name}_token": f"[{name.upper()}]" for name in ("cls", "sep", "pad", "unk", "mask")}
    (folder / "tokenizer_config.json").write_text(json.dumps(named), encoding="utf-8")
    return tokenizer.get_vocab_size()


def write_blender_judge(root: Path) -> Path:
    """The judge's folder; its backbone is `backbone` beside it."""
    torch.manual_seed(0)
    judge, backbone = root / "judge", root / "backbone"
    judge.mkdir()
    backbone.mkdir()
    tokens = _write_tokenizer(backbone)
    DebertaV2Model(DebertaV2Config(vocab_size=tokens, **SHAPE)).save_pretrained(backbone)
    whole = DebertaV2Model(DebertaV2Config(vocab_size=tokens + TAGS, **SHAPE)).state_dict()
    weights = {f"pretrained_model.{name}": tensor for name, tensor in whole.items()}
    weights |= {"head_layer.1.weight": torch.randn(HIDDEN, 2 * HIDDEN) * 0.3, "head_layer.1.bias": torch.randn(HIDDEN)}
    weights |= {"head_layer.4.weight": torch.randn(1, HIDDEN), "head_layer.4.bias": torch.randn(1)}
    save_file(weights, judge / "model.safetensors")
    config = {"ranker_type": "pairranker", "model_type": "deberta", "model_name": "backbone", "source_maxlength": 1224}
    (judge / "config.json").write_text(json.dumps(config | {"candidate_maxlength": 412}), encoding="utf-8")
    return judge
