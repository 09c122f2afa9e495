"""Hashes of files, of large ones only as often as they change."""

import hashlib
import os
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_AT_ONCE = min(8, os.cpu_count() or 1)
_SETTLED_NS = 2_000_000_000
"""A file that changed less than 2 s ago may change again without a new time stamp, so its hash is not remembered yet."""

_Stamp = tuple[int, int, int, int]
_known: dict[Path, tuple[_Stamp, str]] = {}


def file_sha256(path: Path) -> str:
    """The hash of a file's bytes, as 64 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def remembered_sha256(path: Path) -> str:
    """The same, read once in this process for as long as the file keeps its size, its inode and the times of its changes."""
    path = path.absolute()
    stamp, digest = _known.get(path, (None, ""))
    before = _stamp(path)
    if stamp != before:
        digest = file_sha256(path)
        if _stamp(path) == before and abs(time.time_ns() - max(before[1:3])) > _SETTLED_NS:
            _known[path] = before, digest
    return digest


def sha256_by_name(paths: Iterable[Path]) -> dict[str, str]:
    """`remembered_sha256` of several files, by their names in the order given; up to 8 are read at once."""
    listed = list(paths)
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        return dict(zip((path.name for path in listed), threads.map(remembered_sha256, listed), strict=True))


def _stamp(path: Path) -> _Stamp:
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino
