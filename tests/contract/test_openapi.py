"""The checked-in OpenAPI files are what the services say of themselves; `make openapi` writes them anew."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("generator", "judge", "trainer", "controller")


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("openapi")
    # In a process of its own: the applications read the environment and register metrics.
    subprocess.run([sys.executable, str(ROOT / "scripts" / "write_openapi.py"), str(folder)], check=True)
    return folder


@pytest.mark.parametrize("service", SERVICES)
def test_the_file_is_current(described: Path, service: str) -> None:
    checked_in = ROOT / "tests" / "contract" / "openapi" / f"{service}.json"
    assert json.loads((described / checked_in.name).read_text()) == json.loads(checked_in.read_text()), "run make openapi"


@pytest.mark.parametrize(
    ("service", "routes"),
    [
        ("generator", {"/v1/policy": {"get", "put"}, "/readyz": {"get"}}),
        ("judge", {"/v1/rank": {"post"}, "/v1/compare": {"post"}, "/v1/judge": {"get"}, "/readyz": {"get"}}),
        (
            "judge",
            {path: {"post"} for path in ("/get_reward", "/v1/score/evaluation", "/remote_rm", "/get_feedback", "/compare")},
        ),
        ("judge", {path: {"post"} for path in ("/score", "/v1/score", "/classify", "/predict")}),
        ("judge", {path: {"post"} for path in ("/rerank", "/v1/rerank", "/v2/rerank")}),
        ("trainer", {"/v1/jobs/{job_id}": {"put", "get", "delete"}, "/readyz": {"get"}}),
        (
            "controller",
            {
                "/v1/runs": {"post", "get"},
                "/v1/runs/{run_id}": {"get"},
                "/v1/runs/{run_id}/rounds": {"post"},
                "/v1/runs/{run_id}/rounds/{number}": {"get"},
                "/readyz": {"get"},
            },
        ),
    ],
)
def test_the_routes_that_others_rely_on(service: str, routes: dict[str, set[str]]) -> None:
    paths = json.loads((ROOT / "tests" / "contract" / "openapi" / f"{service}.json").read_text())["paths"]
    assert {path: set(paths.get(path, {})) for path in routes} == routes
