"""Docker and Compose as the tests call them; the stage (scripts/compose_test.py) sets project, tags, ports and passwords."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
GPU = ("docker-compose.yml", "compose.gpu.yml")
EVERY_FILE = ("docker-compose.yml", "compose.gpu.yml", "compose.build.yml", "compose.postgres.yml", "compose.workers.yml")


def docker(*arguments: str, timeout: float = 120) -> str:
    """Standard output of a docker command that must succeed."""
    ended = subprocess.run(["docker", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def compose(*arguments: str, files: Sequence[str] = (), timeout: float = 120) -> str:
    """Standard output of a compose command that must succeed; no file is named unless it is given here."""
    return docker("compose", *_named(files), *arguments, timeout=timeout)


def config(files: Sequence[str] = (), variables: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The services that Compose makes of the files with these variables alone (and PATH), by name."""
    kept = {name: os.environ[name] for name in ("PATH", "DOCKER_CONFIG", "HOME") if name in os.environ}
    ended = subprocess.run(
        ["docker", "compose", "--env-file", os.devnull, *_named(files), "config", "--format", "json"],
        cwd=ROOT,
        env={**kept, **(variables or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)["services"]


def _named(files: Sequence[str]) -> list[str]:
    return [word for name in files for word in ("-f", name)]


def label(service: str) -> str:
    """A filter that finds the containers of a service of this project."""
    return f"label=com.docker.compose.service={service}"


def containers(service: str) -> list[str]:
    """The ids of a service's containers, running or not."""
    project = f"label=com.docker.compose.project={os.environ['COMPOSE_PROJECT_NAME']}"
    return docker("ps", "--all", "--quiet", "--filter", project, "--filter", label(service)).split()


def inspected(service: str) -> dict[str, Any]:
    """What the engine says of the one container of a service."""
    (container,) = containers(service)
    return json.loads(docker("inspect", container))[0]


def image(name: str) -> dict[str, Any]:
    """What the engine says of an image of ours, e.g. `image("judge", "-cpu")`."""
    return json.loads(docker("image", "inspect", name))[0]
