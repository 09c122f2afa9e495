from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from judge_golden import Golden, golden_set
from small_judge import loaded_client, wait_until_ready, write_small_judge

from sparring_judge.settings import JudgeSettings


@pytest.fixture(scope="session")
def small_judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_judge(tmp_path_factory.mktemp("judge") / "small-judge")


@pytest.fixture(scope="session", params=["demo", "beside"])
def golden(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Golden:
    """Each golden set in turn."""
    return golden_set(request.param, tmp_path_factory.mktemp("golden"))


@pytest.fixture(scope="session")
def client(small_judge: Path) -> Iterator[TestClient]:
    """The judge service with the real engine on a random model, loaded."""
    settings = JudgeSettings(model=str(small_judge), device="cpu", max_items=8, max_candidates=6, max_body_bytes=100_000)
    with loaded_client(settings) as ready:
        wait_until_ready(ready)
        yield ready
