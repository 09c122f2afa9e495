"""`python benchmarks/gpu.py --device cpu --tiny`: all eight points, at sizes that a CPU computes in seconds."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from typing import Any

import pytest
from gpu_points.points import POINTS
from gpu_points.predictions import PREDICTIONS
from packaging.requirements import Requirement
from skips import Skip, because

pytestmark = pytest.mark.skipif(
    "SPARRING_GPU_TEST" not in os.environ, reason=because(Skip.OTHER_STAGE, "make gpu-test; no point was run")
)

ROOT = Path(__file__).parents[2]
NEEDED = ("torch", "transformers", "accelerate", "safetensors", "numpy", "pyarrow", "pydantic")
ONLY_ON_A_CARD = {"cuDNN", "7B rmsprop", "8B rmsprop", "7B adamw", "7B rmsprop of 80 GiB", "512", "1024", "2048"}

AS_IF_ABSENT = """
import importlib, json, sys
from importlib.machinery import PathFinder

hidden = set(json.loads(sys.argv[1]))

class Finder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in hidden else PathFinder.find_spec(name, path, target)

sys.meta_path = [Finder if finder is PathFinder else finder for finder in sys.meta_path]
for name in sys.argv[2:]:
    importlib.import_module(name)
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rows of a whole run."""
    path = tmp_path_factory.mktemp("gpu") / "rows.json"
    done = command("--minutes", "30", "--json", str(path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| together | ran |" in done.stdout
    return path


def command(*options: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "benchmarks/gpu.py", "--device", "cpu", "--tiny"]
    return subprocess.run([*program, *options], cwd=ROOT, capture_output=True, text=True)


def rows(report: Path) -> dict[str, dict[str, Any]]:
    return {row["point"]: row for row in json.loads(report.read_text())["rows"]}


def test_every_point_gives_its_row(report: Path) -> None:
    found = rows(report)

    assert [(row["point"], row["status"], row["note"]) for row in found.values()] == [
        (point.name, "ran", None) for point in POINTS
    ]
    assert found["trainer"]["findings"]["resumed_over_moved"] == 0
    assert found["attention"]["findings"]["trainer"]["without cuDNN"]["shapes"] == 30
    assert found["judge"]["findings"]["fp16"]["16"]["finite"] is True
    assert found["memory"]["findings"]["tiny rmsprop of 1 GiB"]["steps_done"] == 3
    assert found["memory"]["findings"]["FSDP2, one rank"]["probe_differs_by"] == 0
    assert found["rounding"]["findings"]["stochastic"]["share_of_margin"] == pytest.approx(1, abs=0.2)
    assert found["rounding"]["findings"]["nearest"]["share_of_margin"] < 0.5
    assert found["together"]["findings"]["job_most_gib"] > 0


def test_what_was_predicted_is_what_is_measured(report: Path) -> None:
    found = rows(report)
    for prediction in PREDICTIONS:
        keys = set(prediction.path.split("/")) - ONLY_ON_A_CARD
        assert keys <= set(all_keys(found[prediction.point]["findings"])), prediction.path


def test_one_point_alone_leaves_the_other_rows(report: Path) -> None:
    before = rows(report)
    assert command("--only", "attention", "--json", str(report)).returncode == 0

    after = rows(report)
    assert list(after) == list(before)
    assert after["attention"]["at"] > before["attention"]["at"]
    assert after["judge"] == before["judge"]


def test_no_more_is_imported_than_torch_and_transformers_bring() -> None:
    brought = set(required(NEEDED))
    hidden = [
        module
        for module, names in packages_distributions().items()
        if not brought & {name.lower().replace("_", "-") for name in names} and not module.startswith(("sparring_", "_"))
    ]
    assert {"fastapi", "pydantic_settings", "prometheus_client", "uvicorn"} <= set(hidden)
    modules = [point.function.partition(":")[0] for point in POINTS] + ["gpu_points.sharded", "gpu_points.trainer_stages"]
    path = [ROOT / place for place in ("shared", "services/judge", "services/trainer", "benchmarks")]
    program = [sys.executable, "-c", AS_IF_ABSENT, json.dumps(hidden), *modules]
    done = subprocess.run(program, env={"PYTHONPATH": ":".join(map(str, path))}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def required(names: tuple[str, ...], seen: frozenset[str] = frozenset()) -> Iterator[str]:
    """Distributions that are needed by these, themselves included."""
    for name in (name.lower().replace("_", "-") for name in names):
        if name in seen:
            continue
        yield name
        try:
            needs = [Requirement(text) for text in requires(name) or ()]
        except PackageNotFoundError:
            continue
        wanted = tuple(one.name for one in needs if one.marker is None or one.marker.evaluate({"extra": ""}))
        yield from required(wanted, seen | {name})


def all_keys(value: Any) -> Iterator[str]:
    """The keys of all objects within a JSON value."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from all_keys(inner)
