"""How several workers share the tests."""

from pathlib import Path

import pytest
from ports import free_port
from workers import scope

TESTS = Path(__file__).resolve().parents[1]


def test_one_worker_runs_a_folder_that_shares_a_service(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # some take seconds to import, in each of three processes
    body = "import os\n\ndef test_it(): open('ran', 'a').write(os.environ['PYTEST_XDIST_WORKER'] + ' ')"
    for name in ("contract/test_a", "contract/test_b", "contract/test_c", "contract/test_d", "deploy/test_e"):
        (pytester.path / "tests" / name).parent.mkdir(exist_ok=True, parents=True)
        (pytester.path / "tests" / f"{name}.py").write_text(body)
    (pytester.path / "tests" / "conftest.py").write_text((TESTS / "conftest.py").read_text(encoding="utf-8"))
    pytester.runpytest_subprocess("-p", "xdist", "-n2", "--dist=loadscope", "--no-loadscope-reorder").assert_outcomes(passed=5)
    ran = (pytester.path / "ran").read_text().split()
    assert sorted(map(ran.count, set(ran))) == [1, 4]


def test_other_tests_go_to_whoever_is_free() -> None:
    assert scope("tests/contract/test_openapi.py::test_one") == "contract/"
    assert scope("tests/unit/test_lock.py::test_one[contract/]") == "tests/unit/test_lock.py::test_one[contract/]"


def test_ports_differ() -> None:
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == 50
    assert all(10_000 <= port < 32_000 for port in ports)
