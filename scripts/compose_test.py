"""Builds the images, brings the system up with Docker Compose, and runs tests/compose on it: `make compose-test`.

Where no engine can be had it says loudly what was not tested and ends with 0, or with 1 where SPARRING_CONTAINERS=required;
SPARRING_CONTAINERS=skip leaves the stage out as loudly. `--possible` tests nothing: its exit code tells whether an engine
answers or can be installed and started here. Everything that the stage makes is its own: an engine if none answers, a Compose
project, image tags, a folder. All of it is removed in the end, except images on an engine that was there before.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from socket import create_server

from containers.bases import base_images, vllm_stand_in
from containers.commands import ROOT, CannotTest, NoContainers, must, must_quietly, say, told
from containers.engine import engine, why_none
from containers.lint import lint
from containers.wheels import wheels_image

VERSION = "test"
COMPOSE = ("docker", "compose", "-f", "docker-compose.yml", "-f", "compose.build.yml")
ON_GPUS = (*COMPOSE, "-f", "compose.gpu.yml")
EVERY_FILE = (*COMPOSE, "-f", "compose.postgres.yml", "-f", "compose.workers.yml")
NOT_TESTED = """
################################################################################
#  CONTAINERS WERE NOT TESTED: {reason}
#  Not tested: that the images build and how large they are; docker compose up;
#  a round in containers, also with containers killed; Postgres; the file for GPUs.
################################################################################
"""


def main() -> int:
    """The exit code of the stage."""
    if sys.argv[1:] == ["--possible"]:
        return _possible()
    wanted = os.environ.get("SPARRING_CONTAINERS") or "auto"
    if wanted not in ("auto", "required", "skip"):
        print(f"compose-test: SPARRING_CONTAINERS must be auto, required or skip, but it is {wanted}.", file=sys.stderr)
        return 2
    begun = time.monotonic()
    try:
        if wanted == "skip":
            raise NoContainers("SPARRING_CONTAINERS=skip")
        with tempfile.TemporaryDirectory(prefix="sparring-containers-", dir="/var/tmp") as folder:
            _stage(Path(folder))
    except NoContainers as error:
        print(NOT_TESTED.format(reason=error), flush=True)
        return 1 if wanted == "required" else 0
    except CannotTest as error:
        print(f"compose-test: {error}", file=sys.stderr)
        return 1
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        how = f"exit code {error.returncode}" if isinstance(error, subprocess.CalledProcessError) else "no end"
        print(f"compose-test: failed: {' '.join(error.cmd)[:200]}: {how}", file=sys.stderr)
        return 1
    say(f"passed in {time.monotonic() - begun:.0f} s")
    return 0


def _possible() -> int:
    reason = why_none()
    say("an engine answers or can be had here" if reason is None else f"no engine can be had: {reason}")
    return int(reason is not None)


def _stage(folder: Path) -> None:
    with _timed("lint"):
        pip = lint(folder)  # ours may have been made by uv, without one
    with ExitStack() as stack:
        with _timed("engine"):
            stack.enter_context(engine(folder))
        os.environ |= _project()
        with _timed("base images"):
            os.environ |= base_images(folder) | wheels_image(pip)
        with _timed("build"):
            must_quietly([*COMPOSE, "build", "--progress", "plain"], 1500)
            os.environ["SPARRING_VLLM_IMAGE"] = vllm_stand_in(f"sparring/generator:{VERSION}-cpu")
            must_quietly([*ON_GPUS, "build", "--progress", "plain", "generator"], 600)
        stack.callback(_down)
        with _timed("tests"):
            must(
                [sys.executable, "-m", "pytest", "tests/compose", "-p", "no:cacheprovider"],
                1500,
                {"SPARRING_COMPOSE_TEST": "1"},
            )


def _project() -> dict[str, str]:
    """What keeps this stage apart from what else the engine runs, and from a `.env` here: project, tags, ports, passwords."""
    with create_server(("127.0.0.1", 0)) as first, create_server(("127.0.0.1", 0)) as second:
        ports = first.getsockname()[1], second.getsockname()[1]
    return {
        "COMPOSE_DISABLE_ENV_FILE": "1",
        "COMPOSE_FILE": "docker-compose.yml",
        "COMPOSE_PROJECT_NAME": "sparring-test",
        "DOCKER_BUILDKIT": "1",
        "SPARRING_VERSION": VERSION,
        "SPARRING_CONTROLLER_PORT": str(ports[0]),
        "SPARRING_JUDGE_PORT": str(ports[1]),
        "SPARRING_REDIS_PASSWORD": os.urandom(12).hex(),
        "SPARRING_POSTGRES_PASSWORD": os.urandom(12).hex(),
    }


def _down() -> None:
    """End and remove what the tests left up, with its volumes."""
    must([*EVERY_FILE, "down", "--volumes", "--remove-orphans", "--timeout", "20"], 180)
    left = told(["docker", "ps", "--all", "--quiet", "--filter", "label=com.docker.compose.project=sparring-test"])
    if left is None or left.strip():
        raise subprocess.CalledProcessError(1, "docker compose down", f"containers are left: {left}")
    say("everything is down, with its volumes")


@contextmanager
def _timed(what: str) -> Iterator[None]:
    begun = time.monotonic()
    yield
    say(f"{what}: {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    os.chdir(ROOT)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the engine and the containers are ended
    sys.exit(main())
