"""How the judge treats its callers, behind a real server."""

import threading
from typing import Any

import httpx
import pytest
from live_judge import held_judge, metric, wait_for

from sparring_judge.settings import JudgeSettings

HOLD = {"items": [{"prompt": "hold", "a": "a", "b": "b"}]}
MANY = {"items": [{"prompt": "many", "candidates": [f"answer {n}" for n in range(20)]}]}
FEW = {"items": [{"prompt": "few", "a": "a", "b": "b"}]}


def post(url: str, path: str, body: Any, **headers: str) -> httpx.Response:
    return httpx.post(f"{url}{path}", json=body, headers=headers, timeout=60)


def in_background(*arguments: Any, **headers: str) -> tuple[threading.Thread, list[httpx.Response]]:
    answers: list[httpx.Response] = []
    thread = threading.Thread(target=lambda: answers.append(post(*arguments, **headers)))
    thread.start()
    return thread, answers


def error_type(answer: httpx.Response) -> str:
    return answer.json()["error"]["type"]


def test_a_token_is_wanted_everywhere_but_for_health() -> None:
    with held_judge(JudgeSettings(engine="fake", token="s3cret")) as (url, _, _):  # pyright: ignore[reportArgumentType]
        refused = post(url, "/v1/compare", FEW)
        assert (refused.status_code, error_type(refused)) == (401, "unauthorized")
        assert refused.headers["www-authenticate"] == "Bearer"
        assert post(url, "/v1/compare", FEW, authorization="Bearer wrong").status_code == 401
        assert post(url, "/v1/compare", FEW, authorization="Bearer s3cret").status_code == 200
        assert httpx.get(f"{url}/healthz").status_code == 200
        assert httpx.get(f"{url}/metrics").status_code == 401


def test_a_full_queue_says_when_to_come_back() -> None:
    with held_judge(JudgeSettings(engine="fake", max_queued=100)) as (url, _, computer):
        held, _ = in_background(url, "/v1/compare", HOLD)
        assert computer.held.wait(60)
        waiting, answers = in_background(url, "/v1/rank", MANY)
        wait_for(lambda: metric(url, "sparring_judge_queued_pairs") == 380)
        busy = post(url, "/v1/compare", FEW)
        assert (busy.status_code, error_type(busy)) == (429, "busy")
        assert 1 <= int(busy.headers["retry-after"]) <= 60
        computer.go.set()
        held.join(60)
        waiting.join(60)
        assert answers[0].status_code == 200
        assert post(url, "/v1/compare", FEW).status_code == 200


def test_work_is_dropped_when_its_deadline_passes() -> None:
    with held_judge(JudgeSettings(engine="fake")) as (url, _, computer):
        held, answers = in_background(url, "/v1/compare", HOLD)
        assert computer.held.wait(60)
        late = post(url, "/v1/rank", MANY, **{"x-sparring-deadline-seconds": "0.2"})
        assert (late.status_code, error_type(late)) == (408, "deadline_passed")
        assert metric(url, "sparring_judge_queued_pairs") == 0
        lines = post(url, "/v1/rank", MANY, accept="application/x-ndjson", **{"x-sparring-deadline-seconds": "0.2"})
        assert lines.status_code == 200
        assert '"type":"deadline_passed"' in lines.text.splitlines()[1]
        assert post(url, "/v1/rank", MANY, **{"x-sparring-deadline-seconds": "-1"}).status_code == 422
        computer.go.set()
        held.join(60)
        assert answers[0].status_code == 200
        assert [content[0] for content in computer.computed if isinstance(content, tuple)].count("many") == 0


@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson"])
def test_work_is_dropped_when_its_client_has_gone(accept: str) -> None:
    with held_judge(JudgeSettings(engine="fake")) as (url, _, computer):
        held, _ = in_background(url, "/v1/compare", HOLD)
        assert computer.held.wait(60)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{url}/v1/rank", json=MANY, headers={"accept": accept}, timeout=httpx.Timeout(60, read=0.5))
        wait_for(lambda: metric(url, "sparring_judge_queued_pairs") == 0)
        computer.go.set()
        held.join(60)
        assert post(url, "/v1/compare", FEW).status_code == 200
        assert [content[0] for content in computer.computed if isinstance(content, tuple)].count("many") == 0


def test_what_has_begun_is_finished_before_the_server_ends() -> None:
    with held_judge(JudgeSettings(engine="fake")) as (url, server, computer):
        held, answers = in_background(url, "/v1/compare", HOLD)
        assert computer.held.wait(60)
        server.should_exit = True  # what SIGTERM does
        computer.go.set()
        held.join(60)
        assert answers[0].status_code == 200
