"""A function of a point in a process of its own, whose end, however it comes, takes nothing else with it."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .records import Findings, Setting, Status

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = tuple(
    str(ROOT / place) for place in ("shared", "services/judge", "services/trainer", "services/generator", "benchmarks")
)
CANNOT_RUN = 3
"""The exit code of a function that says what it lacks."""
PRINTED_LINES = 40
"""What is kept of the output of a function that failed."""


@dataclass(frozen=True)
class Outcome:
    """How a function ended, and what it had found until then."""

    status: Status
    seconds: float
    findings: Findings
    note: str | None = None


def environment(device: str) -> dict[str, str]:
    """That of a child: our packages from this checkout, nothing from the network, one card in sight and on a CPU none."""
    path = os.pathsep.join((*PACKAGES, *filter(None, [os.environ.get("PYTHONPATH")])))
    # With several in sight the Trainer would split one process over them (DataParallel).
    card = {"CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]}
    hidden = {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"} if device == "cpu" else card
    return os.environ | hidden | {"PYTHONPATH": path, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


def play(function: str, setting: Setting, **arguments: Any) -> Outcome:
    """Run `module:name` as `function(setting, notebook, **arguments)`; kill it, and all that it started, after its seconds."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=setting.folder) as temporary:
        folder = Path(temporary)
        result, log = folder / "findings.json", folder / "log"
        told = json.dumps({"setting": asdict(setting) | {"folder": temporary}, "arguments": arguments})
        command = [sys.executable, "-m", "gpu_points.child", function, str(result), told]
        with log.open("wb") as stream:
            process = subprocess.Popen(command, env=environment(setting.device), stdout=stream, stderr=stream, process_group=0)
            code = _ended(process, setting.seconds)
        findings = json.loads(result.read_text(encoding="utf-8")) if result.is_file() else {}
        printed = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    seconds = round(time.monotonic() - began, 1)
    if code == 0:
        return Outcome("ran", seconds, findings)
    if code == CANNOT_RUN:
        return Outcome("cannot run", seconds, findings, (printed or [""])[-1][:500])
    findings |= {"printed": printed[-PRINTED_LINES:]} if printed else {}
    if code is None:
        return Outcome("failed", seconds, findings, f"It was ended after its {setting.seconds:.0f} seconds.")
    ended = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return Outcome("failed", seconds, findings, f"It ended with {ended}: {reason(printed) or 'it said nothing'}")


def _ended(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    """The exit code, None for one that had to be killed; what it started is ended in both cases."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None
    finally:
        kill_group(process)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """End a process that leads a group, with all others of it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def reason(printed: Sequence[str]) -> str:
    """How the error of the last traceback begins, else the last line: CUDA's errors end in advice on how to look for them."""
    begins = max((at for at, line in enumerate(printed) if line.startswith("Traceback (most")), default=None)
    errors = [] if begins is None else [line for line in printed[begins + 1 :] if line and not line.startswith(" ")]
    return (errors or list(printed[-1:]) or [""])[0][:500]
