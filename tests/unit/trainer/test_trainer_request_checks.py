import hashlib
from pathlib import Path

import pytest
from pydantic import ValidationError

from sparring_shared.artifacts import write_records
from sparring_shared.errors import FileDamaged, InvalidInput
from sparring_shared.records import Pair
from sparring_shared.wire.trainer import JobRequest
from sparring_trainer.service.request_checks import check_data


def request(pairs: Path, *hashes: str) -> JobRequest:
    return JobRequest.model_validate(
        {
            "policy": {"version": 0, "digest": "sha256:base", "path": "models/base"},
            "pairs": [str(pairs)],
            "pairs_sha256": hashes,
            "output": "runs/a/checkpoints/1",
            "version": 1,
            "algorithm": {"name": "sppo"},
            "training": {},
        }
    )


def test_pairs_are_read_by_their_hash_where_it_is_known(tmp_path: Path) -> None:
    write_records(tmp_path / "0.parquet", Pair, [])
    known = hashlib.sha256((tmp_path / "0.parquet").read_bytes()).hexdigest()
    for hashes in ((known,), ()):
        with pytest.raises(InvalidInput, match="There are no pairs in"):
            check_data(request(tmp_path / "0.parquet", *hashes))
    with pytest.raises(FileDamaged, match=r"0\.parquet is not as it was written"):
        check_data(request(tmp_path / "0.parquet", "0123" * 16))


def test_a_job_of_a_sparring_that_knew_no_hashes_is_the_same_job(tmp_path: Path) -> None:
    old, now, other = (request(tmp_path / "0.parquet", *hashes) for hashes in ((), ("0123" * 16,), ("4567" * 16,)))
    assert [known.asks_for(now) for known in (old, now, other)] == [True, True, False]


def test_a_hash_stands_for_each_file_or_for_none(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="pairs_sha256 has 2 hashes of 1 files; give all, or none"):
        request(tmp_path / "0.parquet", "0123" * 16, "0123" * 16)
