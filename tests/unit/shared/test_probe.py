from pathlib import Path

import pytest

from sparring_shared.errors import InvalidInput
from sparring_shared.probe import PROBE, Probe, max_difference, read_probe, write_probe


def test_a_probe_is_read_as_it_was_written(tmp_path: Path) -> None:
    probe = Probe(token_ids=(5, 9, 2), logprobs=(-3.125, -0.1))
    assert read_probe(tmp_path) is None
    write_probe(tmp_path, probe)
    assert read_probe(tmp_path) == probe


@pytest.mark.parametrize(
    "content",
    ["{", '{"token_ids": [1, 2], "logprobs": [-1, -2]}', '{"token_ids": [1, 2], "logprobs": [0.5]}', '{"token_ids": [1, 2]}'],
)
def test_another_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / PROBE).write_text(content)
    with pytest.raises(InvalidInput, match=r"probe\.json is not a probe"):
        read_probe(tmp_path)


def test_max_difference() -> None:
    assert max_difference((-1.0, -2.0), (-1.5, -2.25)) == 0.5
    assert max_difference((-1.0,), (-1.0, -2.0)) == float("inf")
    assert max_difference((-1.0, float("nan")), (-1.0, -2.0)) == float("inf")
