# ruff: noqa: RUF001 characters that NFKC turns into plain ones are what is tested

import importlib
import io
from pathlib import Path

import pytest
from skips import needs

from sparring_judge.engines.pairrm.passes import SpecialIds
from sparring_judge.engines.pairrm.sentencepiece_file import PieceKind, read_sentencepiece
from sparring_judge.engines.pairrm.tokenizer import JudgeTokenizer, load_tokenizer
from sparring_shared.errors import CheckpointMismatch, InvalidInput

needs("sentencepiece")
sentencepiece = importlib.import_module("sentencepiece")

TEXTS = ["What is zinc? A metal.", "Gold is a metal too; zinc is not gold.", "fine full cups of fish", "a b c d e f"] * 5
ODD = [
    "ﬁne ｆｕｌｌ ½ ™ naïve",
    "tabs\tand\nnewlines\n\n  spaces  ",
    "",
    "   ",
    "日本語 😀 zinc",
    "a  b",
    "a\u200bb",
    " zinc is ",
]


@pytest.fixture(scope="module")
def spm_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Unigram model as DeBERTa-v3's: NFKC, [PAD] 0, [CLS] 1, [SEP] 2, [UNK] 3."""
    path = tmp_path_factory.mktemp("spm") / "spm.model"
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS), model_writer=written, vocab_size=60, hard_vocab_limit=False, model_type="unigram",
        normalization_rule_name="nmt_nfkc", pad_id=0, bos_id=1, eos_id=2, unk_id=3,
        pad_piece="[PAD]", bos_piece="[CLS]", eos_piece="[SEP]", unk_piece="[UNK]", minloglevel=2,
    )  # fmt: skip
    path.write_bytes(written.getvalue())
    return path


@pytest.fixture(scope="module")
def tokenizer(spm_model: Path) -> JudgeTokenizer:
    return load_tokenizer(spm_model)


def test_pieces_are_read_as_sentencepiece_reads_them(spm_model: Path) -> None:
    theirs = sentencepiece.SentencePieceProcessor(model_file=str(spm_model))
    ours = read_sentencepiece(spm_model)
    assert [piece.text for piece in ours.pieces] == [theirs.id_to_piece(at) for at in range(theirs.vocab_size())]
    assert [piece.score for piece in ours.pieces] == [theirs.get_score(at) for at in range(theirs.vocab_size())]
    assert [piece.kind for piece in ours.pieces[:5]] == [
        PieceKind.CONTROL,
        PieceKind.CONTROL,
        PieceKind.CONTROL,
        PieceKind.UNKNOWN,
        PieceKind.NORMAL,
    ]
    assert len(ours.charsmap) > 1000


@pytest.mark.parametrize("text", TEXTS[:4] + ODD)
def test_ids_are_those_of_sentencepiece(spm_model: Path, tokenizer: JudgeTokenizer, text: str) -> None:
    theirs = sentencepiece.SentencePieceProcessor(model_file=str(spm_model))
    assert list(tokenizer.ids(text)) == theirs.encode(text)


def test_compatibility_characters_are_normalised(tokenizer: JudgeTokenizer) -> None:
    assert tokenizer.ids("ﬁne ｆｕｌｌ") == tokenizer.ids("fine full")


def test_the_tags_come_after_the_mask(spm_model: Path, tokenizer: JudgeTokenizer) -> None:
    size = len(read_sentencepiece(spm_model).pieces)
    assert tokenizer.special == SpecialIds(cls=1, sep=2, source=size + 1, candidate1=size + 2, candidate2=size + 3)
    assert tokenizer.ids("[MASK]") == (size,)


def test_special_tokens_in_a_text(tokenizer: JudgeTokenizer) -> None:
    assert tokenizer.ids("a [SEP] b") == tokenizer.ids("a b")
    assert tokenizer.ids("[CLS]") == (1,)
    assert max(tokenizer.ids("<|source|> <|candidate1|> ＜|candidate2|＞")) < tokenizer.special.source


def test_half_a_surrogate_pair_is_refused(tokenizer: JudgeTokenizer) -> None:
    with pytest.raises(InvalidInput, match="half a surrogate pair at character 2"):
        tokenizer.ids("ab\udc00")


@pytest.mark.parametrize("damage", [b"", b"not a model at all", b"\x0a\xff\xff\xff\xff\x0f", b"\xff" * 40])
def test_a_damaged_sentencepiece_file_is_refused(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "spm.model").write_bytes(damage)
    with pytest.raises(CheckpointMismatch, match="SentencePiece model"):
        load_tokenizer(tmp_path / "spm.model")


@pytest.mark.parametrize("damage", ["", "{}", '{"added_tokens": [], "model": 1}', "[]"])
def test_a_damaged_tokenizer_json_is_refused(tmp_path: Path, damage: str) -> None:
    (tmp_path / "tokenizer.json").write_text(damage)
    with pytest.raises(CheckpointMismatch, match=r"is not a tokenizer\.json"):
        load_tokenizer(tmp_path / "tokenizer.json")
