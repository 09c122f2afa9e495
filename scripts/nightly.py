"""Runs what takes too long for every change, and writes how it went to benchmarks/results/nightly.md, to be committed.

Each stage is a command whose exit code says whether it holds. They run one after the other, since most of them measure.
"""

import datetime
import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "nightly.md"


@dataclass(frozen=True)
class Stage:
    """What is run, from the repository's root."""

    name: str
    command: str


@dataclass(frozen=True)
class Outcome:
    """How long a stage took and how it ended: `passed`, or its last words."""

    stage: Stage
    seconds: float
    result: str


# The shortest first, so that a night that is cut short has most of them.
STAGES = (
    Stage("all methods on games", ".venv/bin/sparring games --all"),
    Stage("the demo", "sh -c 'rm -rf runs/nightly && .venv/bin/sparring demo --runs-dir runs/nightly'"),
    Stage(
        "a training job killed at 10 random moments",
        "env SPARRING_KILLS=10 .venv/bin/python -m pytest -n0 -q tests/services/trainer/test_trainer_disturbed.py -k killed",
    ),
    Stage("runs under violence", "make chaos"),
    Stage("the real llm-blender and our judge", "make judge-parity"),
    Stage("judge of 6 layers against llm-blender", ".venv/bin/python benchmarks/judge.py --size 6x768 --prompts 4 --rounds 1"),
    Stage("judge of PairRM's size against it", ".venv/bin/python benchmarks/judge.py --size 24x1024 --prompts 1 --rounds 1"),
    Stage("what a run costs the controller", ".venv/bin/python benchmarks/controller.py --prompts 2000 20000"),
    Stage("judge over HTTP", ".venv/bin/python benchmarks/judge_http.py --comparisons 64 --rounds 1 --requests 2000"),
)


def play(stage: Stage) -> Outcome:
    """Run a stage with its output shown."""
    print(f"nightly: {stage.name}: {stage.command}", flush=True)
    began, last = time.monotonic(), ""
    process = subprocess.Popen(
        shlex.split(stage.command), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    for line in process.stdout or ():
        print(line, end="", flush=True)
        last = line.strip() or last
    failed = f"exit {process.wait()}: {last.replace(f'{ROOT}/', '')}"
    return Outcome(stage, time.monotonic() - began, failed if process.returncode else "passed")


def machine() -> str:
    """The processor, cores, memory, Python and PyTorch of this machine, in one line."""
    described = Path("/proc/cpuinfo").read_text(encoding="utf-8") if sys.platform == "linux" else ""
    models = [line.partition(":")[2].strip() for line in described.splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    parts = (models or [platform.machine()])[0], f"{os.cpu_count()} cores", f"{memory:.0f} GiB"
    versions = f"Python {platform.python_version()}", f"PyTorch {importlib.metadata.version('torch')}"
    return ", ".join((*parts, *versions))


def report(day: datetime.date, described: str, outcomes: Sequence[Outcome]) -> str:
    """The page that is committed."""
    rows = [f"| {each.stage.name} | `{each.stage.command}` | {each.seconds:.0f} | {each.result} |" for each in outcomes]
    head = ["# Nightly", "", f"{day.isoformat()} on {described}; written by `make nightly`.", ""]
    return "\n".join([*head, "| stage | command | seconds | result |", "|---|---|---:|---|", *rows]) + "\n"


def main() -> int:
    """Exit code 1 when a stage failed. The page is written after each stage, so a night that is cut short keeps what it has."""
    day, described, outcomes = datetime.datetime.now(datetime.UTC).date(), machine(), list[Outcome]()
    RESULTS.parent.mkdir(exist_ok=True)
    for stage in STAGES:
        outcomes.append(play(stage))
        RESULTS.write_text(report(day, described, outcomes), encoding="utf-8")
    print(report(day, described, outcomes))
    return int(any(each.result != "passed" for each in outcomes))


if __name__ == "__main__":
    sys.exit(main())
