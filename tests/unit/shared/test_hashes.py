import hashlib
import os
from pathlib import Path

import pytest

from sparring_shared import hashes
from sparring_shared.hashes import remembered_sha256, sha256_by_name


def test_a_file_that_stays_as_it_is_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"one")
    read: list[Path] = []
    whole = hashes.file_sha256
    monkeypatch.setattr(hashes, "file_sha256", lambda path: read.append(path) or whole(path))
    assert [remembered_sha256(path) for _ in range(2)] == [hashlib.sha256(b"one").hexdigest()] * 2
    assert len(read) == 2  # it has only just been written, and might be again within one tick of the clock

    monkeypatch.setattr(hashes, "_SETTLED_NS", -1)
    assert [remembered_sha256(path) for _ in range(2)] == [hashlib.sha256(b"one").hexdigest()] * 2
    assert len(read) == 3
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    assert remembered_sha256(path) == hashlib.sha256(b"two").hexdigest()


def test_several_files_keep_their_order(tmp_path: Path) -> None:
    for name in "cab":
        (tmp_path / name).write_text(name)
    hashed = sha256_by_name(tmp_path / name for name in "cab")
    assert list(hashed.items()) == [(name, hashlib.sha256(name.encode()).hexdigest()) for name in "cab"]
