"""Prints the pins of a lock file that this Python does not have yet in any version: `missing.py LOCK`."""

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def installed(name: str) -> bool:
    """Whether a distribution of that name is there."""
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False


def missing(lock: str) -> list[str]:
    """The lines of a lock whose packages are not installed here."""
    pins = [line.strip() for line in lock.splitlines() if "==" in line and not line.startswith("#")]
    return [pin for pin in pins if not installed(pin.partition("==")[0].strip())]


if __name__ == "__main__":
    print("\n".join(missing(Path(sys.argv[1]).read_text(encoding="utf-8"))))
