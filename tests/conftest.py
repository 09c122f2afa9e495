"""For all tests: which skips are honest, and how several workers (`pytest -n`, pytest-xdist) share the tests."""

import os
from collections.abc import Generator
from pathlib import Path
from typing import TypeVar

import pytest
from skips import allowed

R = TypeVar("R", pytest.TestReport, pytest.CollectReport)
TESTS = Path(__file__).parent
# One worker runs all of such a folder: what its tests share takes long to start.
TOGETHER = ("e2e", "services/generator", "contract", "deploy")
# These begin, the longest first, so that no worker is left alone with one of them at the end.
FIRST = ("e2e", "services/generator", "services/trainer/test_trainer_machines", "services/trainer/test_trainer_jobs")
FIRST += ("services/judge/test_judge_start", "services/judge", "contract", "unit/controller", "unit/trainer", "services")

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # workers share the processors


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "xdist_group(name): tests that one worker runs, where there are several")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    paths = {item: item.path.relative_to(TESTS).as_posix() for item in items}
    for item, path in paths.items():
        for folder in TOGETHER:
            if path.startswith(folder):
                item.add_marker(pytest.mark.xdist_group(folder))
    items.sort(key=lambda item: next((at for at, start in enumerate(FIRST) if paths[item].startswith(start)), len(FIRST)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return honest((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return honest((yield))


def honest(report: R) -> R:
    """The report, failed if it is a skip for a reason that is not in `skips.Skip`; an expected failure is no skip."""
    if report.skipped and isinstance(report.longrepr, tuple) and not allowed(report.longrepr[2]):
        path, line, reason = report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{path}:{line}: '{reason}' is no reason to skip; give one of tests/skips.py."
    return report
