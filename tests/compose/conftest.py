"""The system of docker-compose.yml, brought up once; only where the stage that built its images says so."""

import os
import shutil
import subprocess

import pytest
from composed import compose
from skips import Skip, skip


@pytest.fixture(scope="session")
def compose_command() -> None:
    """Skips where there is no `docker compose`; no engine is needed to read the files."""
    if shutil.which("docker") is None or subprocess.run(["docker", "compose", "version"], capture_output=True).returncode != 0:
        skip(Skip.NO_ENGINE, "no `docker compose`; the Compose files were not read")


@pytest.fixture(scope="session")
def built() -> None:
    """Skips where the images have not just been built."""
    if "SPARRING_COMPOSE_TEST" not in os.environ:
        skip(Skip.OTHER_STAGE, "make compose-test; nothing was tested in containers")


@pytest.fixture(scope="session")
def stack(built: None) -> None:
    """The whole system, healthy, by the command of the README. Who set up the stage takes it down."""
    compose("up", "--detach", "--wait", timeout=660)
