"""What was once computed is kept on disk, for other judges and after a restart."""

import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from scripted_endpoint import completion, endpoint
from small_judge import loaded_client, wait_until_ready

from sparring_judge.engines.by_name import load_engine
from sparring_judge.queue.background_judge import BackgroundJudge
from sparring_judge.queue.kept_values import KeptValues
from sparring_judge.service.app import create_app
from sparring_judge.settings import JudgeSettings
from sparring_shared.errors import InvalidInput

PAIR = {"prompt": "2 + 2?", "candidates": ["4", "5"]}


def ranked(client: TestClient, **more: Any) -> dict[str, Any]:
    wait_until_ready(client)
    return client.post("/v1/rank", json={"items": [PAIR]} | more).raise_for_status().json()["items"][0]


def test_values_outlive_the_judge_and_are_asked_anew_on_a_word(tmp_path: Path) -> None:
    with endpoint(lambda *_: completion("A", {"A": -0.25, "B": -1.5})) as server:
        settings = JudgeSettings(engine="openai", model="m", url=server.url, kept=tmp_path / "new" / "kept.db")
        with loaded_client(settings) as client:
            first = ranked(client)
            assert (first["passes"], first["cache_hits"]) == (2, 0)
        asked = len(server.bodies)
        with loaded_client(settings) as client:
            assert first["new_tokens"] == 148
            assert ranked(client) == first | {"cache_hits": 2, "new_tokens": 0}
            warmed_up = len(server.bodies) - asked
            assert ranked(client, fresh=True) == first
            assert len(server.bodies) - asked - warmed_up == 2


def test_the_file_is_one_of_keys_and_values(tmp_path: Path) -> None:
    kept = KeptValues(tmp_path / "kept.db")
    keys = [number.to_bytes(16, "big") for number in range(1200)]
    kept.add({key: float(number) for number, key in enumerate(keys)})
    kept.add({keys[7]: -1.5})
    other = KeptValues(tmp_path / "kept.db")
    found = other.values([*keys, b"unknown"])
    assert (len(found), found[keys[6]], found[keys[7]]) == (1200, 6.0, -1.5)
    kept.close()
    other.close()


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "kept.db").write_text("no database, but long enough to be looked at" * 100)
    with pytest.raises(InvalidInput, match=r"^SPARRING_JUDGE_KEPT: .*kept\.db cannot be used \(file is not a database\)"):
        KeptValues(tmp_path / "kept.db")


def test_a_judge_with_such_a_file_fails_and_is_not_loading_for_ever(tmp_path: Path) -> None:
    (tmp_path / "kept.db").write_text("no database, but long enough to be looked at" * 100)
    settings, ended = JudgeSettings(engine="fake", kept=tmp_path / "kept.db"), threading.Event()
    judge = BackgroundJudge(partial(load_engine, settings), settings, on_failure=ended.set)
    with TestClient(create_app(settings, judge)):
        assert ended.wait(60)
    assert judge.failure is not None
    assert judge.failure.message.startswith("SPARRING_JUDGE_KEPT: ")
    assert not judge.has_served
