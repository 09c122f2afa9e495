"""The set-up script, run as `make setup` runs it."""

import importlib.util
import os
import subprocess
import sys
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
