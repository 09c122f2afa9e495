"""A reward function for TRL's trainers (GRPO, RLOO, online DPO ...)."""

import logging
from collections.abc import Sequence
from typing import Any, Protocol

from sparring_judge.client.clients import Judge
from sparring_judge.client.conversations import Turns, answer, conversation
from sparring_shared.wire.judge import Conversation, ItemError, RankItem, RankResult

_log = logging.getLogger(__name__)


class RewardFunction(Protocol):
    """What TRL calls."""

    __name__: str

    def __call__(self, prompts: Sequence[Turns], completions: Sequence[Turns], **columns: Any) -> list[float | None]:
        """A reward for each completion, None for one that has none."""
        ...


def trl_reward(url: str, *, baseline: str | None = None, **options: Any) -> RewardFunction:
    """A function for `reward_funcs=`: each completion's win rate among the completions to the same prompt in the batch.

    A completion alone with its prompt is compared with the answer `baseline`; without one it has no reward (None). So have
    those whose prompt cannot be judged, which is logged. The completions of one prompt that a trainer shares out among several
    processes meet only those of their own process. `options` are those of `Judge`, as are the errors.

    Example: `GRPOTrainer(model, reward_funcs=trl_reward("http://localhost:8002"), ...)`.
    """
    judge = Judge(url, **options)

    def judge_win_rate(prompts: Sequence[Turns], completions: Sequence[Turns], **columns: Any) -> list[float | None]:
        groups = [group for group in same_prompt(prompts) if len(group[1]) > 1 or baseline is not None]
        rewards: list[float | None] = [None] * len(prompts)
        texts = [answer(completion) for completion in completions]
        items = [rank_item(prompt, [texts[at] for at in members], baseline) for prompt, members in groups]
        for (_, members), result in zip(groups, judge.rank(items), strict=True):
            for at, reward in zip(members, group_rewards(result, len(members)), strict=True):
                rewards[at] = reward
        return rewards

    return judge_win_rate


def same_prompt(prompts: Sequence[Turns]) -> list[tuple[Conversation, list[int]]]:
    """Each prompt once, with the indices where it stands."""
    groups: dict[Conversation, list[int]] = {}
    for at, prompt in enumerate(prompts):
        groups.setdefault(conversation(prompt), []).append(at)
    return list(groups.items())


def rank_item(prompt: Conversation, texts: Sequence[str], baseline: str | None) -> RankItem:
    """What to ask about the completions to one prompt; a lone one meets the baseline."""
    return RankItem(prompt=prompt, candidates=tuple(texts) if len(texts) > 1 or baseline is None else (*texts, baseline))


def group_rewards(result: RankResult | ItemError, count: int) -> list[float | None]:
    """The rewards of the first `count` candidates of an item: win rates, or P(it beats the baseline) for one alone."""
    if isinstance(result, ItemError) or result.win_rates is None:
        if isinstance(result, ItemError):
            _log.warning("%d completions have no reward: %s", count, result.error.message)
        return [None] * count
    return [result.probs[0][1]] if count == 1 else list(result.win_rates)
