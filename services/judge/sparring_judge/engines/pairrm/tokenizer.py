"""Texts to token ids, with the tokenizer that the model was trained with; the one module that uses `tokenizers`.

The tags are left out of the tokenizer: what looks like a tag in a text is plain text, so no text can forge one or break a
pass. `[CLS]`, `[MASK]` and `[PAD]` in a text become special ids, as with llm-blender; `[SEP]` becomes one space.
"""

import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

from sparring_judge.engines.pairrm.passes import Ids, SpecialIds
from sparring_judge.engines.pairrm.sentencepiece_file import PieceKind, read_sentencepiece
from sparring_shared.errors import CheckpointMismatch, InvalidInput

TAGS = ("<|source|>", "<|candidate1|>", "<|candidate2|>", "<|candidate|>")
"""In the order in which llm-blender adds them to the backbone's tokenizer."""


class JudgeTokenizer:
    """Token ids of texts, and the ids that stand around them."""

    def __init__(self, tokenizer: Tokenizer, special: SpecialIds) -> None:
        self._tokenizer = tokenizer
        self.special = special

    @property
    def largest_id(self) -> int:
        """The largest id that can reach the model."""
        around = self.special
        return max(*self._tokenizer.get_vocab().values(), around.source, around.candidate1, around.candidate2)

    def ids(self, text: str) -> Ids:
        """Ids of a text without anything around it. Raises InvalidInput for a text that is not valid Unicode."""
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InvalidInput(f"A text holds half a surrogate pair at character {error.start}; send valid Unicode.") from None
        return tuple(self._tokenizer.encode(text.replace("[SEP]", " "), add_special_tokens=False).ids)


def load_tokenizer(path: Path) -> JudgeTokenizer:
    """Read a `tokenizer.json` or an `spm.model`. Raises CheckpointMismatch when it cannot be one of a PairRM judge."""
    if path.suffix == ".model":
        tokenizer, tags = _from_sentencepiece(path), {}
    else:
        tokenizer, tags = _from_json(path)
    next_id = tokenizer.get_vocab_size()
    source, candidate1, candidate2 = (tags.get(tag, next_id + at) for at, tag in enumerate(TAGS[:3]))
    cls, sep = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    if cls is None or sep is None:
        raise CheckpointMismatch(f"{path} has no [CLS] and [SEP]; it is not the tokenizer of a DeBERTa judge.")
    return JudgeTokenizer(tokenizer, SpecialIds(cls, sep, source, candidate1, candidate2))


def _from_json(path: Path) -> tuple[Tokenizer, dict[str, int]]:
    """The tokenizer without its tags, and their ids."""
    try:
        described: dict[str, Any] = json.loads(path.read_bytes())
        added = described["added_tokens"]
        tags = {token["content"]: token["id"] for token in added if token["content"] in TAGS}
        kept = [token for token in added if token["content"] not in TAGS]
        tokenizer = Tokenizer.from_str(json.dumps({**described, "added_tokens": kept, "truncation": None, "padding": None}))
    except Exception as error:  # noqa: BLE001 `tokenizers` raises plain Exception for a file that it cannot read
        raise CheckpointMismatch(f"{path} is not a tokenizer.json ({error}); save the tokenizer again.") from None
    moved = [token["content"] for token in kept if tokenizer.token_to_id(token["content"]) != token["id"]]
    if moved:
        raise CheckpointMismatch(f"{path} adds {', '.join(moved)} after the tags; the tags must be the last tokens.")
    return tokenizer, tags


def _from_sentencepiece(path: Path) -> Tokenizer:
    """DeBERTa-v3's fast tokenizer; unlike transformers 5, with the normalisation (NFKC) that the file holds."""
    model = read_sentencepiece(path)
    unknown = next(at for at, piece in enumerate(model.pieces) if piece.kind == PieceKind.UNKNOWN)
    vocabulary = [(piece.text, piece.score) for piece in model.pieces]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=unknown, byte_fallback=False))
    charsmap = [normalizers.Precompiled(model.charsmap)] if model.charsmap else []
    tokenizer.normalizer = normalizers.Sequence([normalizers.Strip(), *charsmap, normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    for piece in model.pieces:
        if piece.kind in (PieceKind.CONTROL, PieceKind.USER_DEFINED):
            tokenizer.add_tokens([AddedToken(piece.text, normalized=False, special=piece.kind == PieceKind.CONTROL)])
    tokenizer.add_special_tokens([AddedToken(model.pieces[unknown].text, normalized=True, special=True)])
    tokenizer.add_special_tokens(["[MASK]"])
    return tokenizer
