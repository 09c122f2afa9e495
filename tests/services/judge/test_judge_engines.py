"""Each engine behind the real application, its computer in this process or in others."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient
from scripted_endpoint import completion, endpoint
from small_judge import wait_until_ready
from small_lm import write_llama_judge, write_llama_reward

from sparring_judge.engines.by_name import load_engine
from sparring_judge.engines.engine import judge_tasks
from sparring_judge.queue.background_judge import BackgroundJudge
from sparring_judge.service.app import create_app
from sparring_judge.settings import JudgeSettings
from sparring_judge.tasks.prompt_text import prompt_text
from sparring_judge.tasks.task import Task, games
from sparring_judge.tasks.units import Judgement
from sparring_shared.records import Message
from sparring_shared.wire.judge import JudgeInfo, RankResponse, RankResult

TURNS = (
    Message(role="user", content="what is zinc?"),
    Message(role="assistant", content="a metal."),
    Message(role="user", content="and gold?"),
)
ANSWERS = ("a metal as well", "no idea")
ITEM = {"prompt": [turn.model_dump() for turn in TURNS], "candidates": list(ANSWERS)}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, small_judge: Path) -> Iterator[dict[str, JudgeSettings]]:
    folder = tmp_path_factory.mktemp("engines")
    pair_lm: dict[str, Any] = {"engine": "pair-lm", "model": str(write_llama_judge(folder / "pair-lm"))}
    reward: dict[str, Any] = {"engine": "reward", "model": str(write_llama_reward(folder / "reward"))}
    members = ({"engine": "pairrm", "model": str(small_judge)}, pair_lm, reward | {"weight": 3})
    with endpoint(lambda *_: completion("A", {"A": -0.5, "B": -1.5})) as server:
        yield {
            "pairrm": JudgeSettings(device="cpu", model=str(small_judge)),
            "pair-lm": JudgeSettings(device="cpu", **pair_lm),
            "reward": JudgeSettings(device="cpu", **reward),
            "ensemble": JudgeSettings(device="cpu", engine="ensemble", members=members),
            "openai": JudgeSettings(engine="openai", model="m", url=server.url),
        }


@pytest.mark.parametrize("engine", ["pairrm", "pair-lm", "reward"])
def test_cudnn_makes_no_plan_for_each_length(settings: dict[str, JudgeSettings], engine: str) -> None:
    torch.backends.cuda.enable_cudnn_sdp(True)
    load_engine(settings[engine]).load()
    assert not torch.backends.cuda.cudnn_sdp_enabled()


@pytest.mark.parametrize(("engine", "workers"), [("pair-lm", 1), ("reward", 1), ("ensemble", 1), ("openai", 1), ("pair-lm", 2)])
def test_a_dialogue_is_ranked_over_http(settings: dict[str, JudgeSettings], engine: str, workers: int) -> None:
    chosen = settings[engine].model_copy(update={"workers": workers})
    with TestClient(create_app(chosen, BackgroundJudge(lambda: load_engine(chosen), chosen))) as client:
        wait_until_ready(client)
        info = JudgeInfo.model_validate_json(client.get("/v1/judge").content)
        answer = RankResponse.model_validate_json(client.post("/v1/rank", json={"items": [ITEM]}).content)
    loaded = load_engine(chosen)
    (wanted,) = judge_tasks(loaded.reader, loaded.load(), [Task(prompt_text(TURNS), ANSWERS, games(2), TURNS)])
    (found,) = answer.items
    assert isinstance(wanted, Judgement)
    assert isinstance(found, RankResult)
    assert info.engine == engine
    assert answer.judge == loaded.reader.ref
    assert found.logits == tuple(pytest.approx(row, abs=1e-4) for row in wanted.logits.tolist())
