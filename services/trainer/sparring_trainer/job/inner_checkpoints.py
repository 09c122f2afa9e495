"""What a job goes on from after a crash: checkpoints in its folder that are complete or count as absent.

One is complete once `complete.json`, with the size and hash of each of its files, was written after all of them were fsynced.
"""

import json
import logging
import shutil
from pathlib import Path

from sparring_shared.artifacts import fsync, write_json
from sparring_shared.hashes import sha256_by_name

log = logging.getLogger(__name__)

KEPT = 2
MARKER = "complete.json"


def step_of(checkpoint: Path) -> int:
    """After how many steps it was saved."""
    return int(checkpoint.name.rpartition("-")[2])


def complete(checkpoint: Path) -> None:
    """Let a checkpoint count whose files are all written; all but the latest KEPT are removed."""
    files = sorted(path for path in checkpoint.iterdir() if path.is_file())
    for path in (*files, checkpoint, checkpoint.parent):
        fsync(path)
    hashes = sha256_by_name(files)
    write_json(checkpoint / MARKER, {path.name: [path.stat().st_size, hashes[path.name]] for path in files})
    for old in _newest_first(checkpoint.parent)[KEPT:]:
        # Without its marker first: half removed it would pass for damaged.
        (old / MARKER).unlink(missing_ok=True)
        shutil.rmtree(old)


def latest(checkpoints: Path) -> Path | None:
    """The latest checkpoint that is as it was saved; None if there is none, and the training begins anew.

    Later ones are out of the way afterwards: what a killed save left is removed, a damaged one set aside.
    """
    for found in _newest_first(checkpoints):
        if not (found / MARKER).is_file():
            shutil.rmtree(found)
        elif damaged := _damaged(found):
            aside = found.with_name(f"damaged-{step_of(found)}")
            shutil.rmtree(aside, ignore_errors=True)
            found.rename(aside)
            log.warning("%s of %s is not as it was saved; %s keeps it, and the one before is used.", damaged, found.name, aside)
        else:
            return found
    return None


def _newest_first(checkpoints: Path) -> list[Path]:
    return sorted(checkpoints.glob("checkpoint-*"), key=step_of, reverse=True)


def _damaged(checkpoint: Path) -> str | None:
    """The name of the first file that is missing or other than it was; sizes are compared first, since hashing takes long."""
    try:
        expected: dict[str, tuple[int, str]] = json.loads((checkpoint / MARKER).read_text(encoding="utf-8"))
    except ValueError:
        return MARKER
    for name, (size, _) in expected.items():
        if not (checkpoint / name).is_file() or (checkpoint / name).stat().st_size != size:
            return name
    hashes = sha256_by_name(checkpoint / name for name in expected)
    return next((name for name, (_, expected_hash) in expected.items() if hashes[name] != expected_hash), None)
