"""A disk that is full for a while costs time and no attempt."""

import errno
from pathlib import Path
from typing import Any

import pytest
from playing import play, rows, start

from sparring_controller.api.controller import Controller
from sparring_controller.rounds.stages import work
from sparring_controller.rounds.worker import Worker
from sparring_shared.artifacts import write_records


def test_a_full_disk_is_waited_for(
    worker: Worker, controller: Controller, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    full = [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOSPC]

    def write(path: Path, *more: Any) -> int:
        if full:
            raise OSError(full.pop(), "No space left on device", str(path))
        return write_records(path, *more)

    run_id = start(controller, config, 1)
    monkeypatch.setattr(work, "write_records", write)
    status = play(worker, controller, run_id)
    assert (full, status.error, {row.state for row in rows(controller, run_id)}) == ([], None, {"done"})
    assert {row.attempt for row in rows(controller, run_id)} == {0}


def test_other_errors_of_files_are_attempts(
    worker: Worker, controller: Controller, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(path: Path, *more: Any) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    run_id = start(controller, config, 1)
    monkeypatch.setattr(work, "write_records", write)
    assert "PermissionError" in (play(worker, controller, run_id).error or "")
