"""A function of a point in a process of its own, whose end, however it comes, takes nothing else with it."""

import json
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from . import child
from .records import Findings, Setting, Status

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = tuple(
    str(ROOT / place) for place in ("shared", "services/judge", "services/trainer", "services/generator", "benchmarks")
)
PRINTED_LINES = 40
"""What is kept of the output of a function that failed."""

# Its children are forks of one process that has imported what they need and has done nothing else: no card is touched there.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["torch", "transformers.modeling_utils", "transformers.trainer", "pyarrow.parquet"])


@dataclass(frozen=True)
class Outcome:
    """How a function ended, and what it had found until then."""

    status: Status
    seconds: float
    findings: Findings
    note: str | None = None


def environment(device: str) -> dict[str, str]:
    """What a child needs: our packages from this checkout, nothing from the network, one card in sight and on a CPU none."""
    path = os.pathsep.join((*PACKAGES, *filter(None, [os.environ.get("PYTHONPATH")])))
    # With several in sight the Trainer would split one process over them (DataParallel).
    card = {"CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]}
    hidden = {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"} if device == "cpu" else card
    return hidden | {"PYTHONPATH": path, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


def prepare(device: str) -> None:
    """Make this process one whose children have the environment of `device`; before the first of them is played."""
    os.environ.update(environment(device))
    sys.path[:0] = PACKAGES


def play(function: str, setting: Setting, **arguments: Any) -> Outcome:
    """Run `module:name` as `function(setting, notebook, **arguments)`; kill it, and all that it started, after its seconds."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=setting.folder) as temporary:
        folder = Path(temporary)
        result, log = folder / "findings.json", folder / "log"
        log.touch()
        told = (function, replace(setting, folder=temporary), result, log, arguments)
        process = _FORKS.Process(target=child.main, args=told)
        process.start()
        code = _ended(process, setting.seconds)
        findings = json.loads(result.read_text(encoding="utf-8")) if result.is_file() else {}
        printed = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    seconds = round(time.monotonic() - began, 1)
    if code == 0:
        return Outcome("ran", seconds, findings)
    if code == child.CANNOT_RUN:
        return Outcome("cannot run", seconds, findings, (printed or [""])[-1][:500])
    findings |= {"printed": printed[-PRINTED_LINES:]} if printed else {}
    if code is None:
        return Outcome("failed", seconds, findings, f"It was ended after its {setting.seconds:.0f} seconds.")
    ended = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return Outcome("failed", seconds, findings, f"It ended with {ended}: {reason(printed) or 'it said nothing'}")


def _ended(process: BaseProcess, seconds: float) -> int | None:
    """The exit code, None for one that had to be killed; what it started is ended in both cases."""
    process.join(seconds)
    code = process.exitcode
    with suppress(ProcessLookupError):
        os.killpg(process.pid or 0, signal.SIGKILL)
    process.kill()  # one that leads no group yet
    process.join()
    return code


def reason(printed: Sequence[str]) -> str:
    """How the error of the last traceback begins, else the last line: CUDA's errors end in advice on how to look for them."""
    begins = max((at for at, line in enumerate(printed) if line.startswith("Traceback (most")), default=None)
    errors = [] if begins is None else [line for line in printed[begins + 1 :] if line and not line.startswith(" ")]
    return (errors or list(printed[-1:]) or [""])[0][:500]
