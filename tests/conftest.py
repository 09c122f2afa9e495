"""For all tests: which skips are honest, and how several workers (`pytest -n`, pytest-xdist) share the tests."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from skips import allowed

R = TypeVar("R", pytest.TestReport, pytest.CollectReport)
TESTS = Path(__file__).parent
# These begin, the longest first, so that no worker is left alone with one of them at the end.
FIRST = ("services/generator", "services/trainer/test_trainer_machines")
FIRST += ("services/trainer/test_trainer_jobs", "services/judge/test_judge_start", "services/judge", "contract")
FIRST += ("unit/controller", "unit/trainer", "services")

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # workers share the processors


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors, as a worker often waits for a process that it started; four take memory enough."""
    return min((os.cpu_count() or 1) + 1, 4)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from workers import Scheduling  # where xdist is installed

    return Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        path = item.path.relative_to(TESTS).as_posix()
        return next((at for at, start in enumerate(FIRST) if path.startswith(start)), len(FIRST))

    items.sort(key=place)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return honest((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return honest((yield))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The address of a real Postgres."""
    from postgres import server  # few tests need its client

    with server() as address:
        yield address


@pytest.fixture
def database_kind() -> str:
    """On which database a test runs; one that is parametrized with `postgres.ON_BOTH` says so itself."""
    return "sqlite"


@pytest.fixture
def database_url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without tables."""
    if database_kind == "sqlite":
        return f"sqlite:///{tmp_path / 'new' / 'sparring.db'}"
    from postgres import empty_database

    return empty_database(request.getfixturevalue("postgres_server"))


def honest(report: R) -> R:
    """The report, failed if it is a skip for a reason that is not in `skips.Skip`; an expected failure is no skip."""
    if report.skipped and isinstance(report.longrepr, tuple) and not allowed(report.longrepr[2]):
        path, line, reason = report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{path}:{line}: '{reason}' is no reason to skip; give one of tests/skips.py."
    return report
