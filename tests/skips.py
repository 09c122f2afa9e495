"""Why a test may be skipped; any other skip fails the run (`conftest.py`)."""

import importlib.metadata
import re
from enum import StrEnum
from pathlib import Path
from typing import NoReturn

import pytest
from packaging.requirements import Requirement

REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements"


class Skip(StrEnum):
    """How the text of a skip begins; it may say more after a colon."""

    DATA_BESIDE = "data beside the repository is absent"
    NO_GPU = "no GPU"
    ONLY_WITHOUT_GPU = "this machine has a GPU"
    NO_ENGINE = "no container engine"
    OTHER_STAGE = "a test of another stage"
    NO_PRIVILEGE = "a privilege is missing"
    NOT_FOR_THIS_MACHINE = "not made for this machine"
    NO_CURL = "no curl"
    NO_POSTGRES = "no Postgres programs"


def because(reason: Skip, more: str = "") -> str:
    """The text of a skip.

    Example: `because(Skip.NO_GPU, "torch finds none")` is `"no GPU: torch finds none"`.
    """
    return f"{reason}: {more}" if more else str(reason)


def skip(reason: Skip, more: str = "") -> NoReturn:
    """Skip the test that runs, or all that need the fixture or the module that runs."""
    pytest.skip(because(reason, more), allow_module_level=True)


def allowed(text: str) -> bool:
    """Whether the text of a skip gives one of the reasons above."""
    return any(re.fullmatch(rf"(Skipped: )?{re.escape(reason)}(: .*)?", text, re.DOTALL) for reason in Skip)


def pinned(package: str, lock: str) -> bool:
    """Whether a lock holds a package for this machine and this Python."""
    lines = [line for line in lock.splitlines() if line and not line.startswith("#")]
    found = [requirement for requirement in map(Requirement, lines) if requirement.name == package]
    return any(requirement.marker is None or requirement.marker.evaluate() for requirement in found)


def needs(*packages: str) -> None:
    """Skip where the lock in force pins none of the packages for this machine; what it pins must be there."""
    kind = "cpu" if "+cpu" in importlib.metadata.version("torch") else "cuda"
    lock = (REQUIREMENTS / f"{kind}.txt").read_text(encoding="utf-8")
    if not any(pinned(package, lock) for package in packages):
        skip(Skip.NOT_FOR_THIS_MACHINE, f"requirements/{kind}.txt has no {' or '.join(packages)} for it")
