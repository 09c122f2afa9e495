"""The set-up script, run as `make setup` runs it."""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "setup.py"


@pytest.fixture
def setup() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sparring_setup", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fake(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_a_machine_whose_gpu_answers_gets_cuda(setup: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPARRING_ACCELERATOR", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    fake(tmp_path, "nvidia-smi", 'echo "GPU 0: NVIDIA H200"')
    assert setup.accelerator() == "cuda"
    fake(tmp_path, "nvidia-smi", "echo 'no devices were found'; exit 9")
    assert setup.accelerator() == "cpu"
    monkeypatch.setenv("SPARRING_ACCELERATOR", "")
    assert setup.accelerator() == "cpu"
    monkeypatch.setenv("SPARRING_ACCELERATOR", "cuda")
    assert setup.accelerator() == "cuda"


def test_uv_gets_pips_sources_unless_it_has_its_own(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", "/wheels")
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example/simple")
    monkeypatch.delenv("UV_FIND_LINKS", raising=False)
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://own.example/simple")
    environment = setup.environment()
    assert environment["UV_FIND_LINKS"] == "/wheels"
    assert environment["UV_DEFAULT_INDEX"] == "https://own.example/simple"


def test_an_environment_that_is_up_to_date_is_left_alone() -> None:
    before = (SCRIPT.parents[1] / ".venv" / ".sparring-setup").stat().st_mtime_ns
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (SCRIPT.parents[1] / ".venv" / ".sparring-setup").stat().st_mtime_ns == before


def test_a_wrong_setting_is_one_sentence() -> None:
    environment = os.environ | {"SPARRING_ACCELERATOR": "tpu"}
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 2
    assert done.stderr == "setup: SPARRING_ACCELERATOR must be cpu or cuda, but it is tpu.\n"


def test_an_unknown_option_is_one_sentence() -> None:
    done = subprocess.run([sys.executable, str(SCRIPT), "--llm"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "setup: There is no option --llm; give none or --llm-blender.\n"


def test_llm_blenders_environment_is_its_own(setup: ModuleType) -> None:
    ours, theirs = setup.SPARRING, setup.LLM_BLENDER
    assert theirs.python != ours.python and theirs.stamp != ours.stamp
    assert setup.fingerprint(theirs, "cpu") not in (setup.fingerprint(ours, "cpu"), setup.fingerprint(theirs, "cuda"))
    pinned = theirs.locks["cpu"].read_text().splitlines()
    assert "llm-blender==0.0.2" in pinned and "transformers==4.57.6" in pinned


UV = """case "$1" in
venv) for last; do :; done; mkdir -p "$last/bin"; ln -sf "$PYTHON" "$last/bin/python";;
pip) if [ -e "$HOME/block" ]; then touch "$HOME/blocked"; exec sleep 60; fi
     echo "WARNING: Location 'file:///nowhere' is ignored: it is neither a file nor a directory."
     case "$*" in *"$(cat "$HOME/fail" 2>/dev/null || echo nothing)"*) echo "ERROR: no space left"; exit 1;; esac;;
esac"""


# Who starts the tests in the background ignores Ctrl-C for all that they start.
UNDER_CTRL_C = """import runpy, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")"""


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A repository that was never set up, on a machine whose installer is a small stand-in for uv."""
    for name in ("pyproject.toml", "scripts/setup.py", "requirements/cpu.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(SCRIPT.parents[1] / name, tmp_path / name)
    fake(tmp_path, "uv", UV)
    return tmp_path


def started(bare: Path) -> subprocess.Popen[str]:
    environment = {"PATH": f"{bare}:/usr/bin:/bin", "HOME": str(bare), "PYTHON": sys.executable, "SPARRING_ACCELERATOR": "cpu"}
    command = [sys.executable, "-c", UNDER_CTRL_C, str(bare / "scripts" / "setup.py")]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, text=True, start_new_session=True, stdout=pipe, stderr=pipe)


def finished(process: subprocess.Popen[str]) -> tuple[int, list[str], str]:
    """Exit code, what stdout said with all seconds as `N s`, and stderr."""
    said, complaint = process.communicate(timeout=60)
    return process.returncode, re.sub(r"\d+ s$", "N s", said, flags=re.MULTILINE).splitlines(), complaint


FIRST = "setup: installing into .venv with uv (cpu build of PyTorch); this takes a few minutes once"
VENV = "setup: .venv ... N s"
TORCH = "setup: PyTorch 2.13.0+cpu from the configured sources ... N s"


def test_each_step_is_one_line_and_a_second_time_says_nothing(bare: Path) -> None:
    steps = [
        VENV,
        TORCH,
        "setup: packages of requirements/cpu.txt ... N s",
        "setup: Sparring ... N s",
        "setup: ready after N s",
    ]
    assert finished(started(bare)) == (0, [FIRST, *steps], "")
    assert finished(started(bare)) == (0, [], "")


def test_a_step_that_fails_shows_the_installers_last_words(bare: Path) -> None:
    (bare / "fail").write_text("cpu.txt")
    name = "packages of requirements/cpu.txt"
    sentence = f"setup: The step '{name}' failed as said above; mend it and run the same command again.\n"
    assert finished(started(bare)) == (
        2,
        [FIRST, VENV, TORCH, f"setup: {name} ... failed"],
        "ERROR: no space left\n" + sentence,
    )


def test_after_an_interruption_the_next_run_goes_on(bare: Path) -> None:
    (bare / "block").touch()
    process, deadline = started(bare), time.monotonic() + 60
    while not (bare / "blocked").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    lines = [FIRST, VENV, TORCH.replace("N s", "interrupted")]
    assert finished(process) == (130, lines, "setup: interrupted; run the same command again to go on.\n")
    (bare / "block").unlink()
    code, said, _ = finished(started(bare))
    assert (code, said[:2]) == (0, [FIRST, TORCH])


def test_without_the_cpu_build_anywhere_both_sources_are_named(bare: Path) -> None:
    (bare / "fail").write_text("torch")
    code, said, complaint = finished(started(bare))
    index = "https://download.pytorch.org/whl/cpu"
    assert (code, said[2:]) == (2, [TORCH.replace("N s", "failed"), f"setup: PyTorch 2.13.0+cpu from {index} ... failed"])
    assert complaint.startswith("ERROR: no space left\nERROR: no space left\nsetup: torch==2.13.0+cpu for Python 3.")
    assert complaint.endswith(
        f"sources nor by {index}; make one of them reachable, or use a Python for which the build is offered.\n"
    )
