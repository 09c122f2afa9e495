"""What one number for one answer means, in one place.

Answers to the same prompt in one request are compared with each other: a reward is the win rate among them. An answer that
has no rival there is compared with a configured answer: its reward is P(it beats that one). Both lie between 0 and 1, and
an answer as good as its rivals has 0.5.
"""

import math
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sparring_judge.service.items import Ask
from sparring_judge.tasks.units import Judgement
from sparring_shared.errors import InvalidInput, SparringError
from sparring_shared.preference import pairwise_probs, win_rates
from sparring_shared.wire.judge import Conversation, RankItem


@dataclass(frozen=True)
class Answer:
    """An answer that wants a reward. Where `prompt` is None it is not known: the answer has no rivals, the judge no prompt."""

    prompt: Conversation | None
    text: str


@dataclass(frozen=True)
class Reward:
    """`win_rate` in [0, 1]; `log_odds`, the same number without bounds; `truncated` if the judge read the beginning only.

    `tokens` are those of the prompt and of the answer, before any cut.
    """

    win_rate: float
    log_odds: float
    truncated: bool
    tokens: int


RewardAnswers: TypeAlias = Callable[[Sequence[Answer]], Coroutine[Any, Any, list[Reward]]]
"""The rewards of the answers of one request, in their order. Raises SparringError."""


def rewarder(ask: Ask, lone_answer_against: str, max_candidates: int) -> RewardAnswers:
    """How this service rewards answers: at most `max_candidates` to one prompt, a lone one against `lone_answer_against`."""

    async def reward(answers: Sequence[Answer]) -> list[Reward]:
        groups = rivals(answers)
        items = [rank_item([answers[at] for at in group], lone_answer_against, max_candidates) for group in groups]
        found: dict[int, Reward] = {}
        for group, judgement in zip(groups, await ask_all(ask, items), strict=True):
            found |= zip(group, read_rewards(judgement, len(group)), strict=True)
        return [found[at] for at in range(len(answers))]

    return reward


async def ask_all(ask: Ask, items: Sequence[RankItem]) -> list[Judgement]:
    """The judgement of every item, for protocols that cannot say what is wrong with one. Raises the first error."""
    judged = await ask(items) if items else []
    for one in judged:
        if isinstance(one, SparringError):
            raise one
    return [one for one in judged if isinstance(one, Judgement)]


def rivals(answers: Sequence[Answer]) -> list[list[int]]:
    """Indices of the answers, those with the same prompt together, e.g. `[[0, 2], [1]]`."""
    groups: dict[Conversation | int, list[int]] = {}
    for at, answer in enumerate(answers):
        groups.setdefault(at if answer.prompt is None else answer.prompt, []).append(at)
    return list(groups.values())


def rank_item(group: Sequence[Answer], lone_answer_against: str, max_candidates: int) -> RankItem:
    """What to ask the judge about answers with one prompt. Raises InvalidInput for too many."""
    if len(group) > max_candidates:
        raise InvalidInput(f"The request holds {len(group)} answers to one prompt; send {max_candidates} at most.")
    texts = tuple(answer.text for answer in group)
    return RankItem(prompt=group[0].prompt or "", candidates=texts if len(texts) > 1 else (*texts, lone_answer_against))


def read_rewards(judgement: Judgement, count: int) -> list[Reward]:
    """The rewards of the first `count` candidates: of all, or of the one that was compared with the configured answer."""
    logits, reading = judgement.logits, judgement.reading
    probs = pairwise_probs(logits)
    if count == 1:
        rates, odds = [float(probs[0, 1])], [float(logits[0, 1] - logits[1, 0]) / 2]
    else:
        rates = win_rates(probs).tolist()
        odds = [math.log(rate / (1 - rate)) for rate in rates]  # 0 < rate < 1, since each also meets itself with 0.5
    return [
        Reward(rates[at], odds[at], reading.truncated[at], reading.prompt_tokens + reading.tokens[at]) for at in range(count)
    ]
