"""GPUs, their driver, and whether the installed PyTorch is made for them."""

import ast
import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from sparring_controller.doctor.examination import Finding, Level
from sparring_controller.doctor.machine import installed
from sparring_shared.errors import Unavailable
from sparring_shared.records import Record

SECONDS: Final = 20.0
"""How long nvidia-smi may take; where a driver sleeps between calls the first takes several."""


class Card(Record):
    """A GPU and its memory in MiB, as nvidia-smi says."""

    name: str
    total: int
    used: int


class Driver(Record):
    """What nvidia-smi says: the driver's version, the newest CUDA that it runs, and the cards."""

    version: str
    cuda: str
    cards: tuple[Card, ...]


class Build(Record):
    """The installed PyTorch; `cuda` is what it was built for, None for a build for CPUs."""

    version: str
    cuda: str | None


def cards(*, ours: bool) -> list[Finding]:
    """How PyTorch and the cards of this machine fit; `ours`: what is in their memory may be of our own services."""
    build = torch_build()
    try:
        driver = read_driver()
    except Unavailable as error:
        level: Level = "ok" if build is None or build.cuda is None else "wrong"
        return [Finding(name="GPUs", level=level, says=error.message)]
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return [verdict(build, driver, hidden=hidden, ours=ours)]


def verdict(build: Build | None, driver: Driver | None, *, hidden: bool = False, ours: bool = True) -> Finding:
    """What is to be said of a build of PyTorch on a machine with this driver, None where there is none."""
    here = "" if driver is None else f"{_listed(driver.cards)}, driver {driver.version} (CUDA {driver.cuda})"
    if driver is None or not driver.cards:
        if build is None or build.cuda is None:
            return _is("ok", "No NVIDIA GPU is here; everything runs on the CPU.")
        return _is(
            "warning",
            f"PyTorch {build.version} is a build for CUDA {build.cuda}, but nvidia-smi shows no GPU; mend the driver, or "
            "install the build for CPUs (SPARRING_ACCELERATOR=cpu make setup).",
        )
    if build is None:
        return _is("ok", f"{here}; PyTorch is not installed here, where only the controller runs.")
    if build.cuda is None:
        return _is(
            "warning",
            f"{here}, but PyTorch {build.version} is a build for CPUs and leaves them idle; install the other with "
            "SPARRING_ACCELERATOR=cuda make setup.",
        )
    if _major(driver.cuda) < _major(build.cuda):
        return _is(
            "wrong",
            f"{here} is too old for PyTorch {build.version}, which is built for CUDA {build.cuda}; install a newer driver, or "
            f"a PyTorch for CUDA {_major(driver.cuda)}.",
        )
    if hidden:
        return _is("warning", f"{here}, but CUDA_VISIBLE_DEVICES hides them all; unset it to use them.")
    taken = [card for card in driver.cards if card.used > card.total // 10]
    if taken and not ours:
        return _is("warning", f"{here}, but {_taken(taken)}; end what holds it (nvidia-smi names it), or choose other cards.")
    return _is("ok", f"{here}, PyTorch {build.version} for CUDA {build.cuda}.")


def torch_build() -> Build | None:
    """Which PyTorch is installed, without importing it; None if none is."""
    version, spec = installed("torch"), find_spec("torch")
    if version is None or spec is None or spec.origin is None:
        return None
    written = Path(spec.origin).with_name("version.py")
    assigned: dict[str, object] = {}
    for line in ast.parse(written.read_text(encoding="utf-8")).body if written.is_file() else []:
        if isinstance(line, ast.Assign | ast.AnnAssign) and isinstance(line.value, ast.Constant):
            target = line.targets[0] if isinstance(line, ast.Assign) else line.target
            assigned |= {target.id: line.value.value} if isinstance(target, ast.Name) else {}
    cuda = assigned.get("cuda")
    return Build(version=version, cuda=str(cuda) if cuda else None)


def read_driver() -> Driver | None:
    """What nvidia-smi says, None where there is no nvidia-smi. Raises Unavailable when it fails or hangs."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return None
    try:
        done = subprocess.run(
            [command, "-q", "-x"], capture_output=True, text=True, check=False, timeout=SECONDS, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"nvidia-smi does not end in {SECONDS:g} s: the driver hangs; restart the machine.") from None
    if done.returncode:
        said = " ".join((done.stdout + done.stderr).split())
        raise Unavailable(f"nvidia-smi ended with {done.returncode} ({said}); load or mend the driver.")
    return parsed(done.stdout)


def parsed(xml: str) -> Driver:
    """The answer of `nvidia-smi -q -x`. Raises Unavailable if it is something else."""
    try:
        log = ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        raise Unavailable("nvidia-smi answers something that is no XML; mend the driver's installation.") from None
    cards = tuple(
        Card(
            name=gpu.findtext("product_name", "a GPU"),
            total=_mib(gpu.findtext("fb_memory_usage/total", "")),
            used=_mib(gpu.findtext("fb_memory_usage/used", "")),
        )
        for gpu in log.iter("gpu")
    )
    return Driver(version=log.findtext("driver_version", "?"), cuda=log.findtext("cuda_version", "0"), cards=cards)


def _is(level: Level, says: str) -> Finding:
    return Finding(name="GPUs", level=level, says=says)


def _listed(cards: tuple[Card, ...]) -> str:
    kinds = {(card.name, card.total): sum(each.name == card.name for each in cards) for card in cards}
    return ", ".join(f"{count} x {name} ({total / 1024:.0f} GiB)" for (name, total), count in kinds.items())


def _taken(cards: list[Card]) -> str:
    return " and ".join(f"{card.used / 1024:.1f} of {card.total / 1024:.0f} GiB are in use" for card in cards)


def _mib(text: str) -> int:
    amount = text.partition(" ")[0]
    return int(amount) if amount.isdecimal() else 0


def _major(cuda: str) -> int:
    major = cuda.partition(".")[0]
    return int(major) if major.isdecimal() else 0
