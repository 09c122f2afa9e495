"""Running commands, and the errors of this stage's own."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_SHOWN = 8000


class NoContainers(Exception):
    """Why containers cannot be had on this machine, in one sentence."""


class CannotTest(Exception):
    """What about this machine must be changed before the stage can be played, in one sentence."""


def say(message: str) -> None:
    """One line of the stage's own."""
    print(f"compose-test: {message}", flush=True)


def told(command: Sequence[str], timeout: float = 120) -> str | None:
    """What a command prints on standard output; None if it is missing, fails or takes longer."""
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, cwd=ROOT)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return ended.stdout if ended.returncode == 0 else None


def must(command: Sequence[str], timeout: float, environment: Mapping[str, str] | None = None) -> None:
    """Run a command with its output shown. Raises CalledProcessError or TimeoutExpired."""
    subprocess.run(command, timeout=timeout, check=True, cwd=ROOT, env={**os.environ, **(environment or {})})


def must_quietly(command: Sequence[str], timeout: float) -> None:
    """Run a command whose output matters only when it fails; then the end of it is shown. Raises CalledProcessError."""
    ended = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout, check=False, cwd=ROOT
    )
    if ended.returncode != 0:
        print(ended.stdout[-_SHOWN:], flush=True)
        ended.check_returncode()


def without_containers(command: Sequence[str], timeout: float, what: str) -> None:
    """Run a command whose failure means that this machine forbids containers. Raises NoContainers with its last words."""
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, cwd=ROOT)
    except FileNotFoundError:
        raise NoContainers(f"{what} failed: there is no {command[0]}.") from None
    except subprocess.TimeoutExpired:
        raise NoContainers(f"{what} took longer than {timeout:.0f} s.") from None
    if ended.returncode != 0:
        words = (ended.stderr or ended.stdout).strip().splitlines()[-3:]
        raise NoContainers(f"{what} failed: {' '.join(words)}")
