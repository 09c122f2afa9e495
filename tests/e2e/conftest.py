"""All real processes, started by the command that a user gives, once for the whole folder."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from command import sparring
from skips import Skip, skip


@pytest.fixture(scope="session")
def runs_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Runs folder of services that are up."""
    if "SPARRING_E2E" not in os.environ:
        skip(Skip.OTHER_STAGE, "make e2e; no round was played")
    folder = tmp_path_factory.mktemp("runs")
    started = sparring("up", "--free-ports", "--detach", "--runs-dir", str(folder))
    try:
        assert started.returncode == 0, started.stdout + started.stderr
        yield folder
    finally:
        ended = sparring("down", "--runs-dir", str(folder))
        assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.fixture(scope="session")
def controller(runs_dir: Path) -> Iterator[httpx.Client]:
    """The controller's API."""
    url = json.loads((runs_dir / ".services" / "endpoints.json").read_text())["controller"]
    with httpx.Client(base_url=url, timeout=60) as client:
        yield client
