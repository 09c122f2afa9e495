"""A chat endpoint as judge: a real vLLM against what transformers says."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from generator_server import Checkpoints, Server
from prometheus_client import REGISTRY
from random_llama import A, B
from transformers import AutoModelForCausalLM, AutoTokenizer

from sparring_judge.engines.by_name import load_engine
from sparring_judge.engines.chat_endpoint.question import DEFAULT_TEMPLATE, fill
from sparring_judge.engines.engine import judge_tasks
from sparring_judge.settings import JudgeSettings
from sparring_judge.tasks.task import Task, games
from sparring_judge.tasks.units import Judgement
from sparring_shared.errors import InvalidInput, SparringError

pytestmark = pytest.mark.timeout(600)  # the first test waits for the server, which a busy machine starts slowly


@pytest.fixture
def model(server: Server, checkpoints: Checkpoints) -> Path:
    """The model that answers."""
    assert server.http.put("/v1/policy", json=checkpoints.letters.load(1).model_dump()).is_success
    return checkpoints.letters.folder


def endpoint(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}/v1"


def judged(tasks: Sequence[Task], server: Server, **more: int) -> list[Judgement | SparringError]:
    name = server.http.get("/v1/models").json()["data"][0]["id"]
    chosen = JudgeSettings(engine="openai", model=name, url=endpoint(server), **more)  # pyright: ignore[reportArgumentType]
    engine = load_engine(chosen)
    return judge_tasks(engine.reader, engine.load(), tasks)


def counted(name: str) -> float:
    return REGISTRY.get_sample_value(f"sparring_judge_endpoint_{name}_total") or 0.0


@torch.inference_mode()
def test_logits_are_those_of_transformers(server: Server, model: Path) -> None:
    tokenizer, network = AutoTokenizer.from_pretrained(model), AutoModelForCausalLM.from_pretrained(model)
    prompt, answers = "what is zinc?", ("a metal", "no idea, really", "zinc is {a} fruit")

    def wanted(i: int, j: int) -> float:
        turn = {"role": "user", "content": fill(DEFAULT_TEMPLATE, {"prompt": prompt, "a": answers[i], "b": answers[j]})}
        asked = tokenizer.apply_chat_template([turn], add_generation_prompt=True, return_tensors="pt").input_ids
        logits = network(asked).logits[0, -1]
        return (logits[A] - logits[B]).item()

    before = {name: counted(name) for name in ("requests", "prompt_tokens", "completion_tokens")}
    (found,) = judged([Task(prompt, answers, games(3))], server, answer_tokens=1)
    assert isinstance(found, Judgement), found
    expected = np.asarray([[0.0 if i == j else wanted(i, j) for j in range(3)] for i in range(3)])
    np.testing.assert_allclose(found.logits, expected, rtol=0, atol=2e-3)
    assert np.abs(expected).max() > 0.1
    assert counted("requests") - before["requests"] == 6
    assert counted("completion_tokens") - before["completion_tokens"] == 6
    assert counted("prompt_tokens") - before["prompt_tokens"] > 6 * len(DEFAULT_TEMPLATE)  # the model's tokens are bytes


@pytest.mark.usefixtures("model")
def test_a_question_longer_than_the_model_is_the_error_of_its_item(server: Server) -> None:
    bad, good = judged([Task("q", ("x" * 5000, "y"), games(2)), Task("2 + 2?", ("4", "5"), games(2))], server)
    assert isinstance(bad, InvalidInput)
    assert bad.message.startswith(f"{endpoint(server)} refuses the question: Error code: 400")
    assert isinstance(good, Judgement)
