"""Writes all lock files anew: `requirements/cpu.txt` and `cuda.txt`, and one per image in `requirements/images/`; needs uv.

The two hold everything that a machine needs, an image's the part of them that its service needs, in the very same versions.
`--show` changes nothing and prints what would change. `--keep` keeps the pins that still fit pyproject.toml.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from setup import ROOT, TORCH, SetupError, environment

REQUIREMENTS = ROOT / "requirements"
STYLE = ("--python-version", "3.11", "--no-header", "--no-annotate", "--quiet")
LINUX = ("--python-platform", "x86_64-manylinux_2_31")
# PyTorch is installed first and apart, as the build that fits the machine (scripts/setup.py).
WITHOUT_TORCH = ("requirements/torch.in", "--override", "requirements/overrides.txt")
EVERYTHING = ("--extra", "judge", "--extra", "trainer", "--extra", "controller", "--extra", "postgres", "--extra", "local")
EVERYTHING += ("--group", "dev")


@dataclass(frozen=True)
class Lock:
    """One lock file, `requirements/{name}.txt`: what uv is asked for, and under the versions of which other lock.

    `torch` adds the CPU build of PyTorch by name. `there` is an extra whose packages the image's base has already.
    `beside` are pins that are added without what they ask for, since a test runs only a part of them.
    """

    name: str
    asked: tuple[str, ...]
    constraint: str | None = None
    torch: bool = False
    there: str | None = None
    beside: tuple[str, ...] = ()


ONE_WHEEL = "python_full_version < '3.12' and sys_platform == 'linux' and platform_machine == 'x86_64'"
OPENRLHF = (f"openrlhf==0.11.2 ; {ONE_WHEEL}", f"pylatexenc==2.11 ; {ONE_WHEEL}")
LOCKS = (
    Lock("cpu", (*WITHOUT_TORCH, "--extra", "generator-cpu", *EVERYTHING, "--universal"), beside=OPENRLHF),
    Lock("llm-blender", ("requirements/llm-blender.in", *WITHOUT_TORCH, "--universal")),
    Lock("cuda", ("--extra", "generator", *EVERYTHING, *LINUX)),
    Lock("images/controller", ("--extra", "controller", "--extra", "postgres", *LINUX), "cpu"),
    Lock("images/generator-cpu", (*WITHOUT_TORCH, "--extra", "generator-cpu", *LINUX), "cpu", torch=True),
    Lock("images/generator-cuda", LINUX, "cuda", there="generator"),
    Lock("images/judge-cpu", (*WITHOUT_TORCH, "--extra", "judge", *LINUX), "cpu", torch=True),
    Lock("images/judge-cuda", ("--extra", "judge", *LINUX), "cuda"),
    Lock("images/trainer-cpu", (*WITHOUT_TORCH, "--extra", "trainer", *LINUX), "cpu", torch=True),
    Lock("images/trainer-cuda", ("--extra", "trainer", *LINUX), "cuda"),
)


def package(pin: str) -> str:
    """The name in a line of a lock: `package("vllm==0.32.0 ; sys_platform == 'linux'") == "vllm"`."""
    return pin.partition("==")[0].strip()


def versions(text: str) -> dict[str, str]:
    """Versions by package; several for different machines are joined: `{"numpy": "2.3.5, 2.4.0"}`."""
    found: dict[str, list[str]] = {}
    for pin in text.splitlines():
        if "==" in pin and not pin.startswith("#"):
            found.setdefault(package(pin), []).append(pin.partition("==")[2].partition(";")[0].strip())
    return {name: ", ".join(each) for name, each in found.items()}


def changes(before: str, after: str) -> Iterator[tuple[str, str, str]]:
    """Package, version before and version after of all that differs between two locks; `-` where it is not there."""
    old, new = versions(before), versions(after)
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield name, old.get(name, "-"), new.get(name, "-")


def sources(cuda: bool) -> dict[str, str]:
    """The environment of uv. Folders of wheels are left out for CUDA: one with PyTorch's CPU build would be preferred."""
    return {name: value for name, value in environment().items() if not (cuda and name == "UV_FIND_LINKS")}


def compile_with_uv(folder: Path, output: str, asked: tuple[str, ...], constraint: str | None, keep: bool) -> str:
    """What uv resolves; `folder` holds the locks that are made. Raises SetupError when it finds no versions that fit."""
    limits = () if constraint is None else ("--constraint", str(folder / f"{constraint}.txt"))
    env = sources(cuda="cuda" in (output, constraint))
    command = ["uv", "pip", "compile", *asked, *limits, *STYLE, *(() if keep else ("--upgrade",))]
    target = folder / f"{output}.txt"
    target.parent.mkdir(exist_ok=True)
    if keep and (REQUIREMENTS / f"{output}.txt").is_file():
        shutil.copy(REQUIREMENTS / f"{output}.txt", target)
    done = subprocess.run(
        [*command, "--output-file", str(target)], cwd=ROOT, env=env, check=False, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise SetupError(f"uv could not resolve requirements/{output}.txt:\n{done.stderr.strip()}")
    return target.read_text(encoding="utf-8")


def make(lock: Lock, folder: Path, keep: bool) -> None:
    """Write one lock into `folder`, where the lock that constrains it lies already."""
    pins = compile_with_uv(folder, lock.name, ("pyproject.toml", *lock.asked), lock.constraint, keep).splitlines()
    if lock.there is not None:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        base = folder / "base.in"
        base.write_text("\n".join(project["optional-dependencies"][lock.there]), encoding="utf-8")
        there = versions(compile_with_uv(folder, "base", (str(base), *lock.asked), lock.constraint, keep))
        pins = [pin for pin in pins if package(pin) not in there]
    added = (f"torch=={TORCH}+cpu", *lock.beside) if lock.torch else lock.beside
    if added:
        pins = sorted([*(pin for pin in pins if pin not in added), *added], key=package)
    (folder / f"{lock.name}.txt").write_text("\n".join(pins) + "\n", encoding="utf-8")


def show(folder: Path) -> None:
    """Print what differs between the locks of `folder` and those in force."""
    rows = [
        (f"{lock.name}.txt", *change)
        for lock in LOCKS
        for change in changes(in_force(lock), (folder / f"{lock.name}.txt").read_text(encoding="utf-8"))
    ]
    if not rows:
        print("Nothing would change: every pin is the newest version that fits.")
        return
    table = [("lock", "package", "pinned", "newest that fits"), *rows]
    widths = [max(len(row[column]) for row in table) for column in range(4)]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def in_force(lock: Lock) -> str:
    """The text of a lock file as it is, empty if there is none yet."""
    path = REQUIREMENTS / f"{lock.name}.txt"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def main() -> int:
    """Exit code 0 when the locks are made or shown, 2 with one sentence when they cannot be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--show", action="store_true", help="print what would change, and change nothing")
    parser.add_argument("--keep", action="store_true", help="keep the pins that still fit")
    options = parser.parse_args()
    try:
        if shutil.which("uv") is None:
            raise SetupError("uv is not on PATH; install it (pip install uv) and run the same command again.")
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for lock in LOCKS:
                make(lock, folder, options.keep)
            if options.show:
                show(folder)
                return 0
            for lock in LOCKS:
                (REQUIREMENTS / f"{lock.name}.txt").parent.mkdir(exist_ok=True)
                shutil.copy(folder / f"{lock.name}.txt", REQUIREMENTS / f"{lock.name}.txt")
    except SetupError as error:
        print(f"lock: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
