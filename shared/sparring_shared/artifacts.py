"""Files that are either whole or absent: Parquet shards of records, JSON, and checkpoint folders with a manifest of hashes.

Everything is written under a temporary name in the same folder, fsynced, and renamed.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal, TypeVar
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from sparring_shared.errors import FileDamaged, InvalidInput
from sparring_shared.hashes import sha256_by_name
from sparring_shared.records import Answer, CandidateSet, Pair, PreferenceMatrix, Prompt, Record
from sparring_shared.run_config import explain

MANIFEST = "manifest.json"
_WEIGHTS = ("*.safetensors", "config.json", "tokenizer.json")

_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
_POLICY = pa.struct([("version", pa.int32()), ("digest", pa.string())])
_TOKENS = pa.list_(pa.int32())
_MATRIX = pa.list_(pa.list_(pa.float64()))
_PROMPT = pa.struct([("prompt_id", pa.string()), ("messages", _MESSAGES)])
_CANDIDATE = pa.struct(
    [("text", pa.string()), ("token_ids", _TOKENS), ("logprob", pa.float64()), ("finish_reason", pa.string())]
)

SCHEMAS: dict[type[Record], pa.Schema] = {
    Prompt: pa.schema(list(_PROMPT)),
    CandidateSet: pa.schema(
        [
            ("prompt", _PROMPT),
            ("prompt_token_ids", _TOKENS),
            ("prompt_text", pa.string()),
            ("candidates", pa.list_(_CANDIDATE)),
            ("policy", _POLICY),
        ]
    ),
    Answer: pa.schema([("prompt", _PROMPT), ("prompt_text", pa.string()), ("candidate", _CANDIDATE), ("policy", _POLICY)]),
    PreferenceMatrix: pa.schema(
        [
            ("prompt_id", pa.string()),
            ("logits", _MATRIX),
            ("probs", _MATRIX),
            ("truncated", pa.list_(pa.bool_())),
            ("judge", pa.struct([("name", pa.string()), ("revision", pa.string()), ("engine", pa.string())])),
        ]
    ),
    Pair: pa.schema(
        [
            ("prompt_id", pa.string()),
            ("prompt", _MESSAGES),
            ("chosen", _MESSAGES),
            ("rejected", _MESSAGES),
            ("prompt_token_ids", _TOKENS),
            ("chosen_token_ids", _TOKENS),
            ("rejected_token_ids", _TOKENS),
            ("chosen_logprob", pa.float64()),
            ("rejected_logprob", pa.float64()),
            ("chosen_win_rate", pa.float64()),
            ("rejected_win_rate", pa.float64()),
            ("chosen_beats_rejected", pa.float64()),
            ("chosen_score", pa.float64()),
            ("rejected_score", pa.float64()),
            ("chosen_index", pa.int32()),
            ("rejected_index", pa.int32()),
            ("policy", _POLICY),
        ]
    ),
}

R = TypeVar("R", bound=Record)


def fsync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` to write to; on leaving without an error it becomes `path` by one rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        yield temporary
        fsync(temporary)
        temporary.replace(path)
        fsync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write one JSON value, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_records(path: Path, kind: type[R], records: Iterable[R]) -> int:
    """Write records of one kind as a Parquet shard; returns how many."""
    table = pa.Table.from_pylist([record.model_dump() for record in records], schema=SCHEMAS[kind])
    with replacing(path) as temporary:
        pq.write_table(table, temporary)
    return table.num_rows


def read_records(path: Path, kind: type[R], sha256: str | None = None) -> list[R]:
    """The records of a Parquet shard; a column that is not there takes its default, if it has one.

    Raises InvalidInput for a file that is missing or holds something else; with `sha256`, FileDamaged for one whose bytes are
    not those that were hashed.
    """
    try:
        whole = path.read_bytes()
        if sha256 not in (None, hashlib.sha256(whole).hexdigest()):
            raise FileDamaged(f"{path} is not as it was written; have it made again.")
        table = pq.read_table(pa.BufferReader(whole))
    except (FileNotFoundError, pa.ArrowInvalid) as error:
        if sha256 is not None:
            raise FileDamaged(f"{path} is gone; have it made again.") from None
        raise InvalidInput(f"{path} is not a Parquet file of {kind.__name__} rows: {error}") from None
    present = [name for name in SCHEMAS[kind].names if name in table.column_names]
    missing = [name for name, field in kind.model_fields.items() if field.is_required() and name not in present]
    if missing:
        raise InvalidInput(
            f"{path} lacks the columns {', '.join(missing)} of {kind.__name__} rows; if an older version of Sparring wrote it, "
            "finish the round with that version."
        )
    try:
        return [kind.model_validate(row) for row in table.select(present).to_pylist()]
    except ValidationError as error:
        raise InvalidInput(f"{path} holds a row that is not a {kind.__name__}: {explain(error.errors()[:1])}") from None


class Manifest(Record):
    """`manifest.json` of a checkpoint of ours: the hash of each file, and the digest of the policy that they were."""

    format: Literal["sparring-checkpoint"] = "sparring-checkpoint"
    version: int
    digest: str
    files: dict[str, str]


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a checkpoint; None where there is none, or a `manifest.json` of another making."""
    try:
        return Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except (OSError, ValidationError):
        return None


def weights_digest(folder: Path) -> str:
    """`sha256:...` over the names and contents of weights, model config and tokenizer: equal iff the policy is the same.

    Every byte is read, once in a process for as long as the files stay as they are. Raises InvalidInput for a folder that holds
    no weights.
    """
    return _digest(folder, sha256_by_name(path for pattern in _WEIGHTS for path in folder.glob(pattern)))


def verified_digest(folder: Path) -> str:
    """The digest of a folder whose files are, where it has a manifest of ours, those that it names.

    Raises InvalidInput for one that is damaged or holds no weights.
    """
    damaged = damaged_files(folder)
    if damaged:
        raise InvalidInput(f"{folder} is damaged: {', '.join(damaged)} differ from {MANIFEST}; copy or train it again.")
    return weights_digest(folder)


def publish_checkpoint(temporary: Path, final: Path, version: int) -> str:
    """Make a finished checkpoint folder appear at `final` by one rename, with its manifest; returns its digest.

    If `final` is already there with the same digest, the temporary folder is dropped; with another, InvalidInput is raised.
    """
    files = sha256_by_name(path for path in sorted(temporary.iterdir()) if path.is_file())
    digest = _digest(temporary, files)
    write_json(temporary / MANIFEST, Manifest(version=version, digest=digest, files=files).model_dump())
    for path in temporary.iterdir():
        fsync(path)
    if final.exists():
        if weights_digest(final) != digest:
            raise InvalidInput(f"{final} already holds another checkpoint; remove it or choose another output.")
        shutil.rmtree(temporary)
        return digest
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary.rename(final)
    fsync(final.parent)
    return digest


def damaged_files(folder: Path) -> list[str]:
    """Names of the files of a checkpoint that are missing or differ from its manifest; empty when it is whole, or has none."""
    manifest = read_manifest(folder)
    expected = manifest.files if manifest else {}
    found = sha256_by_name(folder / name for name in expected if (folder / name).is_file())
    return [name for name, digest in expected.items() if found.get(name) != digest]


def _digest(folder: Path, hashes: Mapping[str, str]) -> str:
    names = sorted(name for name in hashes if any(fnmatch(name, pattern) for pattern in _WEIGHTS))
    if not any(name.endswith(".safetensors") for name in names):
        raise InvalidInput(f"{folder} holds no *.safetensors file; give the folder of a Hugging Face checkpoint.")
    listing = "".join(f"{name} {hashes[name]}\n" for name in names)
    return "sha256:" + hashlib.sha256(listing.encode()).hexdigest()
