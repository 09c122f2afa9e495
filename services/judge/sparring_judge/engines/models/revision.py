"""What a judge's revision says: which weights answer, and a digest of all else that changes the answers."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_DIGITS = 12
READ_WITH = ("tokenizer*.json", "special_tokens_map.json", "chat_template.jinja", "spm.model", "config.json")
"""Besides the weights, the files of a language model that decide what it reads."""


def revision(weights: str, **others: Any) -> str:
    """`<weights>+<12 hex digits>`: the digits are those of a digest of `others`, JSON values by name.

    The precision is part of it as it is set: what `auto` comes to is not, nor is the device.
    """
    described = json.dumps(others, sort_keys=True, separators=(",", ":"))
    return f"{weights}+{hashlib.sha256(described.encode()).hexdigest()[:_DIGITS]}"


def files_digest(paths: Sequence[Path]) -> str:
    """sha256 over the names and contents of some files."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def matching(folder: Path, patterns: Sequence[str]) -> list[Path]:
    """The files of a folder that match one of the patterns."""
    return sorted({path for pattern in patterns for path in folder.glob(pattern)})
