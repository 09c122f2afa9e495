"""Reads the parts of a SentencePiece `spm.model` (a protocol buffer, `ModelProto`) that a Unigram tokenizer is made from."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TypeAlias

from sparring_shared.errors import CheckpointMismatch

Field: TypeAlias = tuple[int, int | bytes]
_UNIGRAM = 1


class PieceKind(IntEnum):
    """`ModelProto.SentencePiece.Type`."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True)
class Piece:
    """One entry of the vocabulary; `score` is its log-probability."""

    text: str
    score: float
    kind: PieceKind


@dataclass(frozen=True)
class SentencePieceModel:
    """`pieces` in the order of their ids; `charsmap` is the compiled normalisation (NFKC for DeBERTa-v3), or empty."""

    pieces: tuple[Piece, ...]
    charsmap: bytes


def read_sentencepiece(path: Path) -> SentencePieceModel:
    """Parse an `spm.model`. Raises CheckpointMismatch for a file that is none, or whose model is not Unigram."""
    pieces: list[Piece] = []
    charsmap: bytes = b""
    kind: int | bytes = _UNIGRAM
    try:
        for number, value in _fields(path.read_bytes()):
            if number == 1 and isinstance(value, bytes):
                pieces.append(_piece(value))
            elif number == 2 and isinstance(value, bytes):
                kind = dict(_fields(value)).get(3, _UNIGRAM)
            elif number == 3 and isinstance(value, bytes):
                found = dict(_fields(value)).get(2, b"")
                charsmap = found if isinstance(found, bytes) else b""
    except (IndexError, ValueError, struct.error):
        raise CheckpointMismatch(f"{path} is not a SentencePiece model; download it again.") from None
    if kind != _UNIGRAM or not any(piece.kind == PieceKind.UNKNOWN for piece in pieces):
        raise CheckpointMismatch(f"{path} is not a SentencePiece model of type Unigram, as DeBERTa-v3's is.")
    return SentencePieceModel(tuple(pieces), charsmap)


def _piece(message: bytes) -> Piece:
    fields = dict(_fields(message))
    text, score = fields.get(1), fields.get(2, bytes(4))
    if not isinstance(text, bytes) or not isinstance(score, bytes):
        raise ValueError("a piece without text or score")
    return Piece(text.decode(), struct.unpack("<f", score)[0], PieceKind(fields.get(3, PieceKind.NORMAL)))


def _fields(message: bytes) -> Iterator[Field]:
    """Field numbers and values: a varint as int, all else as bytes (protocol buffers, encoding)."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        if key & 7 == 0:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        size = {1: 8, 5: 4}.get(key & 7)
        if size is None:
            if key & 7 != 2:
                raise ValueError("an unknown wire type")
            size, at = _varint(message, at)
        if at + size > len(message):
            raise ValueError("the message ends too early")
        yield key >> 3, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
