"""TRL's pairwise judges, in terms of comparisons."""

import math
from collections.abc import Sequence

from sparring_judge.client.conversations import Turns, answer, conversation
from sparring_shared.errors import InvalidInput
from sparring_shared.wire.judge import CompareItem, CompareResult, ItemError

NOT_JUDGED = -1


def pairs(prompts: Sequence[Turns], completions: Sequence[Sequence[Turns]]) -> list[CompareItem]:
    """Each prompt with its two completions. Raises InvalidInput unless each has two."""
    if len(prompts) != len(completions):
        raise InvalidInput(f"There are {len(prompts)} prompts and {len(completions)} pairs of completions; give one pair each.")
    for at, given in enumerate(completions):
        if isinstance(given, str) or len(given) != 2:
            raise InvalidInput(f"completions.{at} is not a pair; give two completions to each prompt.")
    return [
        CompareItem(prompt=conversation(prompt), a=answer(first), b=answer(second))
        for prompt, (first, second) in zip(prompts, completions, strict=True)
    ]


def choices(compared: Sequence[CompareResult | ItemError], return_scores: bool, temperature: float) -> list[int] | list[float]:
    """0 or 1, the index of the better; or P(the first is better); -1 where the item was not judged.

    llm-blender's scores of two candidates differ by C_01 - C_10, and TRL takes the softmax of them at `temperature`; that is
    the estimator `official`, about twice as sharp in log-odds as the `p_a` of a comparison.
    """
    margins = [None if isinstance(one, ItemError) else one.logit_ab - one.logit_ba for one in compared]
    if return_scores:
        return [float(NOT_JUDGED) if one is None else (1 + math.tanh(one / temperature / 2)) / 2 for one in margins]
    return [NOT_JUDGED if one is None else int(one < 0) for one in margins]
