"""Point 1: what this machine is, and what `tests/gpu` says of it."""

import os
import platform
import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

import torch
from torch.cuda import nccl

from .device import GIB
from .processes import ROOT
from .records import Findings, Notebook, Setting

PACKAGES = ("torch", "transformers", "accelerate", "safetensors", "numpy", "pyarrow", "pydantic", "triton", "fastapi", "vllm")


def versions(setting: Setting, notebook: Notebook) -> None:
    """Versions and card, then the tests."""
    notebook.add(python=platform.python_version(), packages=installed(), cuda=torch.version.cuda)
    if setting.device == "cuda":
        notebook.add(card=card(), driver=driver(), cudnn=torch.backends.cudnn.version(), nccl=list(nccl.version()))
    notebook.add(tests=gpu_tests(setting))
    if "printed" in notebook.findings["tests"]:
        raise RuntimeError("tests/gpu failed; the row holds the end of what pytest printed.")


def installed() -> dict[str, str | None]:
    """The versions of the packages that matter; None for one that is not there."""
    return {name: _version(name) for name in PACKAGES}


def card() -> Findings:
    """The card as torch sees it."""
    about = torch.cuda.get_device_properties(0)
    return {
        "name": about.name,
        "memory_gib": round(about.total_memory / GIB, 1),
        "capability": f"{about.major}.{about.minor}",
        "multiprocessors": about.multi_processor_count,
        "bf16": torch.cuda.is_bf16_supported(),
    }


def driver() -> str | None:
    """The driver's version; None where nvidia-smi is not there or says nothing."""
    if shutil.which("nvidia-smi") is None:
        return None
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    lines = subprocess.run(query, capture_output=True, text=True, timeout=60).stdout.splitlines()
    return lines[0] if lines else None


def gpu_tests(setting: Setting) -> Findings:
    """How many of `tests/gpu` passed, and unless all did, what pytest `printed` at its end."""
    if find_spec("pytest") is None:
        return {"note": "pytest is not installed here, so tests/gpu was not run."}
    # The options of pyproject.toml ask for plugins that need not be here.
    command = [sys.executable, "-m", "pytest", "tests/gpu", "-k", "cuda", "-o", "addopts=", "-rs", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=setting.seconds, env=dict(os.environ))
    printed = done.stdout.strip().splitlines()
    counted = re.findall(r"(\d+) (passed|failed|skipped|deselected|errors?)", printed[-1] if printed else "")
    counts: Findings = {word: int(count) for count, word in counted}
    if done.returncode not in (0, 5):
        counts["printed"] = printed[-40:]
    return counts


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
