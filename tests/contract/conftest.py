import time
from collections.abc import Iterator

import pytest
from compat_answers import LONE_ANSWER_AGAINST
from fastapi.testclient import TestClient
from processes import ROOT, service

from sparring_judge.engines.by_name import load_engine
from sparring_judge.queue.background_judge import BackgroundJudge
from sparring_judge.service.app import create_app
from sparring_judge.settings import JudgeSettings


@pytest.fixture(scope="session")
def judge() -> Iterator[TestClient]:
    """The judge's application with the demo judge, ready; a lone answer meets `LONE_ANSWER_AGAINST`."""
    model = str(ROOT / "models" / "demo-judge")
    settings = JudgeSettings(model=model, device="cpu", lone_answer_against=LONE_ANSWER_AGAINST, max_candidates=8)
    engine = load_engine(settings)
    with TestClient(create_app(settings, BackgroundJudge(lambda: engine, settings))) as client:
        deadline = time.monotonic() + 60
        while (answer := client.get("/readyz")).status_code != 200:
            assert time.monotonic() < deadline, answer.text
            time.sleep(0.01)
        yield client


@pytest.fixture(scope="session")
def judge_url() -> Iterator[str]:
    """The address of a judge in a process of its own, with the same settings."""
    more = {"SPARRING_JUDGE_LONE_ANSWER_AGAINST": LONE_ANSWER_AGAINST}
    with service("judge", SPARRING_JUDGE_MODEL="models/demo-judge", **more) as url:
        yield url
