"""The lock files, and the script that writes them, run as `make lock` and `make versions` run it with a stand-in for uv."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
IMAGES = {
    "controller": ("cpu", ["controller", "postgres"]),
    "generator-cpu": ("cpu", ["generator-cpu"]),
    "generator-cuda": ("cuda", []),
    "judge-cpu": ("cpu", ["judge"]),
    "judge-cuda": ("cuda", ["judge"]),
    "trainer-cpu": ("cpu", ["trainer"]),
    "trainer-cuda": ("cuda", ["trainer"]),
}
# intel-openmp names the other on Linux only, and a lock for all systems went by another.
OF_THE_IMAGE_ALONE = {"generator-cpu": {"intel-cmplr-lib-ur"}}
# Writes the same lock whatever it is asked for, and what it was asked for beside it.
UV = """#!/bin/sh
echo "$@" >> {log}
for last; do :; done
case "$last" in */base.txt) pins="vllm==0.32.0";; *) pins="numpy==2.4.0
tqdm==4.70.1";; esac
echo "$pins" > "$last"
"""


@pytest.fixture
def lock(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT / "scripts")
    return import_module("lock")


@pytest.fixture
def copy(tmp_path: Path, lock: Any) -> Path:
    """A copy of what the script reads, with locks of two packages and a uv that finds a newer one."""
    for name in ("lock.py", "setup.py"):
        (tmp_path / "scripts").mkdir(exist_ok=True)
        shutil.copy(ROOT / "scripts" / name, tmp_path / "scripts")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "requirements" / "images").mkdir(parents=True)
    for name in ("cpu", "cuda", "llm-blender", *(f"images/{image}" for image in IMAGES)):
        torch = "torch==2.13.0+cpu\n" if name.startswith("images") and name.endswith("-cpu") else ""
        (tmp_path / "requirements" / f"{name}.txt").write_text(f"numpy==2.4.0\n{torch}tqdm==4.70.1\n")
    (tmp_path / "requirements" / "cuda.txt").write_text("numpy==2.3.5\ntriton==3.7.1\ntqdm==4.70.1\n")
    beside = "".join(f"{pin}\n" for pin in lock.OPENRLHF)
    (tmp_path / "requirements" / "cpu.txt").write_text(f"numpy==2.4.0\n{beside}tqdm==4.70.1\n")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "uv").write_text(UV.format(log=tmp_path / "asked.txt"))
    (tmp_path / "bin" / "uv").chmod(0o755)
    return tmp_path


def run(copy: Path, *options: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PATH": path or f"{copy / 'bin'}:{os.environ['PATH']}"}
    command = [sys.executable, str(copy / "scripts" / "lock.py"), *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def locks(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in (folder / "requirements").rglob("*.txt")}


def test_what_would_change_is_shown_and_nothing_is_changed(copy: Path) -> None:
    before = locks(copy)
    done = run(copy, "--show")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["lock", "package", "pinned", "newest", "that", "fits"],
        ["cuda.txt", "numpy", "2.3.5", "2.4.0"],
        ["cuda.txt", "triton", "3.7.1", "-"],
    ]
    assert locks(copy) == before


def test_a_lock_is_written_for_machines_and_images(copy: Path) -> None:
    before = locks(copy)
    assert run(copy).returncode == 0
    assert locks(copy) == before | {"requirements/cuda.txt": "numpy==2.4.0\ntqdm==4.70.1\n"}
    assert run(copy, "--show").stdout == "Nothing would change: every pin is the newest version that fits.\n"
    asked = (copy / "asked.txt").read_text().splitlines()
    judge = next(line for line in asked if line.endswith("/images/judge-cuda.txt"))
    assert re.search(r"^pip compile pyproject.toml --extra judge .* --constraint \S+/cuda.txt .*--upgrade", judge)
    assert all("--upgrade" in line for line in asked)


def test_pins_that_fit_are_kept_on_request(copy: Path) -> None:
    assert run(copy, "--keep").returncode == 0
    assert "--upgrade" not in (copy / "asked.txt").read_text()


def test_without_uv_one_sentence_says_so(copy: Path) -> None:
    done = run(copy, path="/nowhere")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "lock: uv is not on PATH; install it (pip install uv) and run the same command again.\n"


def test_differences_of_two_locks(lock: Any) -> None:
    before = "numpy==2.3.5 ; python_full_version < '3.12'\nnumpy==2.4.0\nsix==1.17.0\n"
    assert lock.versions(before) == {"numpy": "2.3.5, 2.4.0", "six": "1.17.0"}
    assert list(lock.changes(before, "numpy==2.4.0\ntqdm==4.70.1\n")) == [
        ("numpy", "2.3.5, 2.4.0", "2.4.0"),
        ("six", "1.17.0", "-"),
        ("tqdm", "-", "4.70.1"),
    ]


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_has_what_its_service_needs_in_the_versions_of_every_machine(lock: Any, image: str) -> None:
    constraint, extras = IMAGES[image]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = lock.versions((ROOT / "requirements" / "images" / f"{image}.txt").read_text())
    everywhere = lock.versions((ROOT / "requirements" / f"{constraint}.txt").read_text())
    if constraint == "cpu":
        everywhere["torch"] = f"{import_module('setup').TORCH}+cpu"
    others = {name for name, pinned in pins.items() if pinned not in everywhere.get(name, "").split(", ")}
    assert others == OF_THE_IMAGE_ALONE.get(image, set())
    needed = [Requirement(text) for extra in extras for text in project["optional-dependencies"][extra]]
    needed += [Requirement(text) for text in project["dependencies"]] if extras else []
    for requirement in needed:
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), requirement


def test_vllm_is_one_version_everywhere() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {Requirement(text).specifier for extra in ("generator", "generator-cpu") for text in extras[extra]}
    image = re.search(r"^ARG VLLM_IMAGE=vllm/vllm-openai:v(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert image is not None
    assert {str(each) for each in named} == {f"=={image[1]}"}


@pytest.mark.parametrize("accelerator", ["cpu", "cuda"])
def test_pytorch_is_the_same_in_all_images(accelerator: str) -> None:
    locks = (ROOT / "requirements" / "images").glob(f"*-{accelerator}.txt")
    of_torch = [re.findall(r"^(?:torch|triton|cuda-|nvidia-).*", lock.read_text(), re.MULTILINE) for lock in locks]
    assert len({tuple(found) for found in of_torch if found}) == 1
