"""The demo judge: the PairRM form (DeBERTa-v2 and a pair head) with its own word-level Unigram tokenizer."""

import json
import math
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import nn
from transformers import DebertaV2Config, DebertaV2Model

SPECIALS: Final = ("[PAD]", "[CLS]", "[SEP]", "[UNK]")
PAD_ID, SEP_ID, UNK_ID = 0, 2, 3
TAGS: Final = ("<|source|>", "<|candidate1|>", "<|candidate2|>", "<|candidate|>")
MAX_WORDS: Final = 380
# Far below any word, so that a known word is never cut into characters.
_CHARACTER_SCORE: Final = -14.0


def build_tokenizer(texts: Iterable[str]) -> Tokenizer:
    """A Unigram tokenizer whose pieces are the words of the texts, by frequency, and every printable ASCII character.

    It lower-cases, as the judge's taste does not depend on capitals.
    """
    normalizer = normalizers.Sequence([normalizers.Strip(), normalizers.NFKC(), normalizers.Lowercase()])
    splitter = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation()])
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(piece for piece, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)))
    words = sorted(((piece, count) for piece, count in counts.items() if len(piece) > 1), key=lambda it: (-it[1], it[0]))
    total = sum(counts.values())
    characters = sorted(set(string.printable.strip().lower()) | {"▁"})
    vocabulary = [(piece, 0.0) for piece in SPECIALS]
    vocabulary += [(piece, math.log(count / total)) for piece, count in words[:MAX_WORDS]]
    vocabulary += [(piece, _CHARACTER_SCORE) for piece in characters]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=UNK_ID, byte_fallback=False))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace()])
    tokenizer.add_special_tokens([*SPECIALS, "[MASK]"])
    tokenizer.add_tokens([AddedToken(tag, normalized=True) for tag in TAGS])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 1), ("[SEP]", SEP_ID)]
    )
    return tokenizer


def new_config(vocabulary: int) -> DebertaV2Config:
    """The judge's shape for a vocabulary size, tags included."""
    return DebertaV2Config.from_dict(
        {
            "vocab_size": vocabulary,
            "hidden_size": 128,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "intermediate_size": 256,
            "hidden_act": "gelu",
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
            "max_position_embeddings": 512,
            "type_vocab_size": 0,
            "initializer_range": 0.08,
            "relative_attention": True,
            "max_relative_positions": -1,
            "position_buckets": 32,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_biased_input": False,
            "layer_norm_eps": 1e-7,
            "pad_token_id": PAD_ID,
        }
    )


class PairRM(nn.Module):
    """logit [B] > 0 when the left answer is the better one: head(source, left) - head(source, right)."""

    def __init__(self, config: DebertaV2Config) -> None:
        super().__init__()
        size = config.hidden_size
        self.pretrained_model = DebertaV2Model(config)
        # The places of the two linear layers, 1 and 4, are part of the checkpoint's format.
        self.head_layer = nn.Sequential(
            nn.Dropout(0.0), nn.Linear(2 * size, size), nn.Tanh(), nn.Dropout(0.0), nn.Linear(size, 1)
        )

    def hidden(self, ids: torch.Tensor) -> torch.Tensor:
        """The last hidden states [B, S, H] of ids [B, S]."""
        return self.pretrained_model(input_ids=ids, attention_mask=(ids != PAD_ID).long()).last_hidden_state

    def logits(self, source: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        """Logits [B] from the hidden states at the three tags."""
        scores = [self.head_layer(torch.cat((source, side), dim=-1)).squeeze(-1) for side in (left, right)]
        return scores[0] - scores[1]

    def forward(self, ids: torch.Tensor, tag_ids: Sequence[int]) -> torch.Tensor:
        """Logits [B] for ids [B, S]; `tag_ids` are those of source, candidate1 and candidate2."""
        hidden = self.hidden(ids)
        return self.logits(*(hidden[ids == tag] for tag in tag_ids))


def pass_ids(tokenizer: Tokenizer, triples: Sequence[tuple[str, str, str]]) -> torch.Tensor:
    """Ids [B, longest] of (prompt, left, right), each text with its tag between its own [CLS] and [SEP]."""
    texts = [tag + text for triple in triples for tag, text in zip(TAGS[:3], triple, strict=True)]
    parts = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    rows = [parts[at] + parts[at + 1] + parts[at + 2] for at in range(0, len(parts), 3)]
    width = max(map(len, rows))
    return torch.tensor([row + [PAD_ID] * (width - len(row)) for row in rows])


def tag_ids(tokenizer: Tokenizer) -> list[int]:
    """The ids of the source, candidate1 and candidate2 tags."""
    found = (tokenizer.token_to_id(tag) for tag in TAGS[:3])
    return [tag for tag in found if tag is not None]


@torch.no_grad()
def compare(model: PairRM, tokenizer: Tokenizer, triples: Sequence[tuple[str, str, str]]) -> list[float]:
    """The order-averaged logit of each (prompt, a, b), above 0 when a is better: (C[a,b] - C[b,a]) / 2."""
    model.eval()
    found: list[float] = []
    for start in range(0, len(triples), 128):
        part = triples[start : start + 128]
        both = pass_ids(tokenizer, [*part, *((prompt, b, a) for prompt, a, b in part)])
        ab, ba = model(both, tag_ids(tokenizer)).chunk(2)
        found += ((ab - ba) / 2).tolist()
    return found


def save_judge(model: PairRM, tokenizer: Tokenizer, out: Path) -> None:
    """Write the directory in the layout of PairRM-hf; weights as fp16."""
    out.mkdir(parents=True, exist_ok=True)
    weights = {name: value.detach().half().contiguous() for name, value in model.state_dict().items()}
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
    ids = {tag: tokenizer.token_to_id(tag) for tag in (*TAGS, "[MASK]")}
    source, first, second, candidate = (ids[tag] for tag in TAGS)
    config = model.pretrained_model.config.to_dict() | {
        "architectures": ["DebertaV2PairRM"],
        "cand1_prefix_id": first,
        "cand2_prefix_id": second,
        "cand_prefix_id": candidate,
        "drop_out": 0.0,
        "dtype": "float16",
        "n_tasks": 1,
        "sep_token_id": SEP_ID,
        "source_prefix_id": source,
    }
    names = {"bos": "[CLS]", "cls": "[CLS]", "eos": "[SEP]", "sep": "[SEP]", "mask": "[MASK]", "pad": "[PAD]"}
    special = {f"{name}_token": token for name, token in names.items()} | {"unk_token": "[UNK]"}
    about = special | {"clean_up_tokenization_spaces": False, "tokenizer_class": "PreTrainedTokenizerFast"}
    for name, content in (
        ("config", config),
        ("added_tokens", ids),
        ("special_tokens_map", special),
        ("tokenizer_config", about),
    ):
        text = json.dumps(content, indent=2, sort_keys=True) + "\n"
        (out / f"{name}.json").write_text(text, encoding="utf-8")
    tokenizer.save(str(out / "tokenizer.json"))
    for file in out.iterdir():
        file.chmod(0o644)


def load_judge(path: Path) -> tuple[PairRM, Tokenizer]:
    """Read a directory that `save_judge` wrote; weights as fp32."""
    model = PairRM(DebertaV2Config.from_pretrained(path))
    model.load_state_dict({name: value.float() for name, value in load_file(path / "model.safetensors").items()})
    return model.eval(), Tokenizer.from_file(str(path / "tokenizer.json"))
