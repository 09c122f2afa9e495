"""OpenRLHF's own code against the judge in a process of its own, where a lock pins it (it wants a GPU's packages).

`pip install --no-deps openrlhf pylatexenc` is enough for the part that asks for rewards.
"""

import asyncio
import importlib
from types import SimpleNamespace
from typing import Any

import pytest
from compat_answers import LONE_ANSWER_AGAINST, PROMPT
from skips import needs
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from sparring_judge.client import Judge
from sparring_shared.wire.judge import CompareItem, CompareResult

needs("openrlhf")
agent = importlib.import_module("openrlhf.utils.agent")


class SaysPlum:
    """Stands for OpenRLHF's vLLM engine: it answers with the tokens of one text, the end token last."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.token_ids = [*tokenizer.encode("plum is a fruit.", add_special_tokens=False), tokenizer.eos_token_id]

    async def generate(self, *_: Any, **__: Any) -> Any:
        return SimpleNamespace(outputs=[SimpleNamespace(token_ids=self.token_ids, finish_reason="stop", logprobs=None)])


def test_openrlhf_gets_its_reward(judge_url: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained("models/demo-policy")
    prompt = tokenizer.apply_chat_template([{"role": "user", "content": PROMPT}], tokenize=False, add_generation_prompt=True)
    executor = agent.SingleTurnAgentExecutor(f"{judge_url}/get_reward")
    sampling = SimpleNamespace(max_tokens=40, logprobs=None)
    output = asyncio.run(executor.execute(prompt, "plum", sampling, 256, tokenizer, SaysPlum(tokenizer)))
    with Judge(judge_url) as judge:
        (compared,) = judge.compare([CompareItem(prompt=prompt, a="plum is a fruit.", b=LONE_ANSWER_AGAINST)])
    assert isinstance(compared, CompareResult)
    assert output["reward"] == output["scores"] == [pytest.approx(compared.p_a)]
    assert output["extra_logs"] == {"judge_truncated": [0.0]}


def test_openrlhf_with_more_servers_than_queries(judge_url: str) -> None:
    executor = agent.SingleTurnAgentExecutor([f"{judge_url}/get_reward"] * 3)
    found = asyncio.run(executor._fetch_rewards_via_http([PROMPT + "plum is a fruit."], [PROMPT], [""]))
    assert [len(one["rewards"]) for one in found][:1] == [1]
    assert sum(len(one["rewards"]) for one in found) == 1
