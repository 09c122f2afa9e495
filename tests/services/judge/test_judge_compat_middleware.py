"""The routes for other tools keep the rules of the judge: its token, its queue, its deadlines."""

import threading
from typing import Any

import httpx
from live_judge import held_judge, metric, wait_for

from sparring_judge.settings import JudgeSettings

TEI = {"query": "few", "texts": ["a", "b"]}


def post(url: str, path: str, body: Any, **headers: str) -> httpx.Response:
    return httpx.post(f"{url}{path}", json=body, headers=headers, timeout=60)


def test_a_token_is_wanted_by_the_routes_for_other_tools() -> None:
    with held_judge(JudgeSettings(engine="fake", token="s3cret")) as (url, _, _):  # pyright: ignore[reportArgumentType]
        assert post(url, "/rerank", TEI).status_code == 401
        assert post(url, "/get_reward", {"query": [], "prompts": []}).status_code == 401
        assert post(url, "/rerank", TEI, authorization="Bearer s3cret").status_code == 200


def test_a_full_queue_and_a_deadline_in_the_shapes_of_the_callers() -> None:
    with held_judge(JudgeSettings(engine="fake", max_queued=100)) as (url, _, computer):
        held = threading.Thread(target=post, args=(url, "/score", {"text_1": "hold", "text_2": ["a", "b"]}))
        held.start()
        assert computer.held.wait(60)
        many = {"text_1": "many", "text_2": [f"answer {n}" for n in range(20)]}
        late = post(url, "/score", many, **{"x-sparring-deadline-seconds": "0.2"})
        assert late.json()["error"]["type"] == "deadline_passed"
        waiting = threading.Thread(target=post, args=(url, "/score", many))
        waiting.start()
        wait_for(lambda: metric(url, "sparring_judge_queued_pairs") == 380)
        busy = post(url, "/rerank", TEI)
        assert (busy.status_code, busy.json()["error_type"]) == (429, "overloaded")
        assert busy.json()["error"].startswith("The judge is busy: 380 pairs wait already")
        assert 1 <= int(busy.headers["retry-after"]) <= 60
        documents = post(url, "/rerank", {"query": "few", "documents": ["a", "b"]})
        assert (documents.status_code, documents.json()["error"]["type"]) == (429, "busy")
        computer.go.set()
        held.join(60)
        waiting.join(60)
        assert post(url, "/rerank", TEI).status_code == 200
