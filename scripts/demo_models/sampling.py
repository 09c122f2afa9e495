"""Samples answers from a policy and counts what the checker says of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from sparring_controller.demo.small_world import Task, Verdict, check, parse

from .policy import chat_ids

MAX_NEW_TOKENS = 40


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer of a policy to a prompt, with the checker's verdict and its length in tokens, end of turn included."""

    prompt: str
    answer: str
    verdict: Verdict
    tokens: int


@torch.no_grad()
def sample(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    prompts: Sequence[str],
    *,
    per_prompt: int = 1,
    greedy: bool = False,
    batch: int = 100,
) -> list[Sample]:
    """`per_prompt` answers to every prompt, at temperature 1 or greedy, in the order of the prompts."""
    model.eval()
    found: list[Sample] = []
    for start in range(0, len(prompts), batch):
        part = prompts[start : start + batch]
        rows = [chat_ids(tokenizer, prompt) for prompt in part]
        width = max(map(len, rows))
        pad = model.config.pad_token_id
        ids = torch.tensor([[pad] * (width - len(row)) + row for row in rows])
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
        # transformers' own annotation of `generate` does not fit its models.
        made = cast(Any, model).generate(
            input_ids=ids,
            attention_mask=mask,
            do_sample=not greedy,
            num_return_sequences=per_prompt,
            max_new_tokens=MAX_NEW_TOKENS,
        )
        for index, row in enumerate(torch.as_tensor(made)[:, width:].tolist()):
            prompt = part[index // per_prompt]
            answer = str(tokenizer.decode(row, skip_special_tokens=True))
            found.append(Sample(prompt, answer, check(prompt, answer), sum(token != pad for token in row)))
    return found


def shares(samples: Sequence[Sample]) -> dict[Verdict, float]:
    """The share of each verdict among the samples."""
    counts = Counter(one.verdict for one in samples)
    return {verdict: counts[verdict] / len(samples) for verdict in Verdict}


def right_by_task(samples: Sequence[Sample]) -> dict[Task, float]:
    """The share of right answers, task by task."""
    asked = Counter(parse(one.prompt).task for one in samples)
    right = Counter(parse(one.prompt).task for one in samples if one.verdict is Verdict.RIGHT)
    return {task: right[task] / asked[task] for task in Task}
