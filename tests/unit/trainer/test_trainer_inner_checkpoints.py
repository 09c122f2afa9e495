"""Inner checkpoints: complete or absent, two kept, a damaged one set aside."""

import json
from pathlib import Path

import pytest

from sparring_trainer.job.inner_checkpoints import complete, latest


def written(checkpoints: Path, step: int) -> Path:
    """A checkpoint as the loop leaves it before it counts."""
    folder = checkpoints / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights of %d" % step)
    (folder / "trainer_state.json").write_text("{}")
    return folder


def saved(checkpoints: Path, *steps: int) -> list[Path]:
    folders = [written(checkpoints, step) for step in steps]
    for folder in folders:
        complete(folder)
    return folders


def names(checkpoints: Path) -> list[str]:
    return sorted(path.name for path in checkpoints.iterdir())


def test_without_any_the_training_begins_anew(tmp_path: Path) -> None:
    assert latest(tmp_path / "absent") is None


def test_two_are_kept_and_the_latest_by_number_is_used(tmp_path: Path) -> None:
    saved(tmp_path, 9, 10, 11)
    assert names(tmp_path) == ["checkpoint-10", "checkpoint-11"]
    assert latest(tmp_path) == tmp_path / "checkpoint-11"


def test_what_a_killed_save_left_is_removed(tmp_path: Path) -> None:
    saved(tmp_path, 9)
    written(tmp_path, 10)
    assert latest(tmp_path) == tmp_path / "checkpoint-9"
    assert names(tmp_path) == ["checkpoint-9"]


@pytest.mark.parametrize("damage", ["cut", "changed", "missing", "marker"])
def test_a_damaged_one_is_set_aside_and_the_one_before_is_used(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    _, torn = saved(tmp_path, 9, 10)
    weights = torn / "model.safetensors"
    match damage:
        case "cut":
            weights.write_bytes(b"weights")
        case "changed":
            weights.write_bytes(b"weights of 99"[: weights.stat().st_size])
        case "missing":
            weights.unlink()
        case _:
            (torn / "complete.json").write_text("")
    wrong = "complete.json" if damage == "marker" else "model.safetensors"

    assert latest(tmp_path) == tmp_path / "checkpoint-9"
    assert names(tmp_path) == ["checkpoint-9", "damaged-10"]
    assert f"{wrong} of checkpoint-10 is not as it was saved" in caplog.text


def test_if_all_are_damaged_the_training_begins_anew(tmp_path: Path) -> None:
    for folder in saved(tmp_path, 9, 10):
        (folder / "trainer_state.json").write_text("[]")
    assert latest(tmp_path) is None
    assert names(tmp_path) == ["damaged-10", "damaged-9"]


def test_the_marker_holds_size_and_hash_of_each_file(tmp_path: Path) -> None:
    (folder,) = saved(tmp_path, 1)
    described = json.loads((folder / "complete.json").read_text())
    assert {name: size for name, (size, _) in described.items()} == {"model.safetensors": 12, "trainer_state.json": 2}
