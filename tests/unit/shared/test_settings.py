"""Settings that all services share."""

from pathlib import Path

import pytest

from sparring_shared.settings import FolderSettings


def test_a_folder_set_to_nothing_is_not_the_working_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARRING_RUNS_DIR", "")
    assert FolderSettings().runs_dir == Path("runs")
    monkeypatch.setenv("SPARRING_RUNS_DIR", "/mine")
    assert FolderSettings().runs_dir == Path("/mine")
