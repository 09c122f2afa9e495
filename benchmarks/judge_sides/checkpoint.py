"""A judge of the real architecture with random weights, in the layout of llm-blender/PairRM, which both sides load."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import DebertaV2Config, DebertaV2Model

SHAPES = {"2x32": (2, 32, 2), "6x768": (6, 768, 12), "24x1024": (24, 1024, 16)}
"""Layers, hidden size, heads; the first is for trying things out, the last is PairRM's."""
PIECES = 128_000
"""DeBERTa-v3's vocabulary; with [MASK] and the four tags the model embeds 128,005 ids."""
TRAINED_PIECES = 32_000
SPECIALS = ("[PAD]", "[CLS]", "[SEP]", "[UNK]")
SEED = 20260401
SPREAD = 0.05
"""Standard deviation of the weights: attention is as uneven as a trained model's, where 0.02 leaves it flat."""


def write_checkpoint(folder: Path, size: str, texts: Sequence[str]) -> None:
    """Write `folder`/pairrm and `folder`/backbone; llm-blender needs both and takes all weights from the first."""
    for name in ("pairrm", "backbone"):
        (folder / name).mkdir(parents=True)
    config = _config(size)
    save_file(_weights(config), folder / "pairrm" / "model.safetensors", metadata={"format": "pt"})
    (folder / "backbone" / "model.safetensors").symlink_to(folder / "pairrm" / "model.safetensors")
    ranker = {"ranker_type": "pairranker", "model_type": "deberta", "model_name": "backbone", "n_tasks": 1, "fp16": True}
    ranker |= {"source_maxlength": 1224, "candidate_maxlength": 412, "reduce_type": "linear", "drop_out": 0.05}
    (folder / "pairrm" / "config.json").write_text(json.dumps(ranker), encoding="utf-8")
    config.to_json_file(folder / "backbone" / "config.json")
    _tokenizer(texts).save(str(folder / "backbone" / "tokenizer.json"))
    (folder / "backbone" / "tokenizer_config.json").write_text(json.dumps(_tokenizer_config()), encoding="utf-8")


def _config(size: str) -> DebertaV2Config:
    layers, hidden, heads = SHAPES[size]
    return DebertaV2Config.from_dict(
        {
            "vocab_size": PIECES + 1,
            "hidden_size": hidden,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "intermediate_size": 4 * hidden,
            "max_position_embeddings": 512,
            "position_buckets": 256,
            "relative_attention": True,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_biased_input": False,
            "type_vocab_size": 0,
            "layer_norm_eps": 1e-7,
        }
    )


def _weights(config: DebertaV2Config) -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        shapes = {f"pretrained_model.{name}": t.shape for name, t in DebertaV2Model(config).state_dict().items()}
    hidden = config.hidden_size
    shapes["pretrained_model.embeddings.word_embeddings.weight"] = torch.Size((PIECES + 5, hidden))
    shapes |= {"head_layer.1.weight": torch.Size((hidden, 2 * hidden)), "head_layer.1.bias": torch.Size((hidden,))}
    shapes |= {"head_layer.4.weight": torch.Size((1, hidden)), "head_layer.4.bias": torch.Size((1,))}
    random = torch.Generator().manual_seed(SEED)
    drawn = {name: torch.empty(shape).normal_(0, SPREAD, generator=random) for name, shape in shapes.items()}
    return {name: weight + 1 if name.endswith("LayerNorm.weight") else weight for name, weight in drawn.items()}


def _tokenizer(texts: Sequence[str]) -> Tokenizer:
    """A Unigram tokenizer of these texts, filled up to the real number of pieces with ones that no text holds."""
    normalizer = normalizers.Sequence([normalizers.Strip(), normalizers.NFKC()])
    splitter = pre_tokenizers.Metaspace(prepend_scheme="always")
    trained = Tokenizer(models.Unigram())
    trained.normalizer, trained.pre_tokenizer = normalizer, splitter
    trainer = trainers.UnigramTrainer(vocab_size=TRAINED_PIECES, special_tokens=list(SPECIALS), unk_token="[UNK]")
    trained.train_from_iterator(texts, trainer)
    pieces = [tuple(entry) for entry in json.loads(trained.to_str())["model"]["vocab"]]
    pieces += [(f"\ue000{at}", -99.0) for at in range(PIECES - len(pieces))]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=SPECIALS.index("[UNK]"), byte_fallback=False))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, splitter
    tokenizer.add_special_tokens([*SPECIALS, "[MASK]"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return tokenizer


def _tokenizer_config() -> dict[str, str | bool]:
    names = {"bos": "[CLS]", "eos": "[SEP]", "unk": "[UNK]", "sep": "[SEP]", "pad": "[PAD]", "cls": "[CLS]", "mask": "[MASK]"}
    return {"tokenizer_class": "DebertaV2Tokenizer", "do_lower_case": False, "split_by_punct": False} | {
        f"{name}_token": token for name, token in names.items()
    }
