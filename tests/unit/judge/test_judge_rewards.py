"""What a reward means: win rates among answers to one prompt, else P(it beats the configured answer)."""

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

from sparring_judge.service.compat.rewards import Answer, read_rewards, rewarder, rivals
from sparring_judge.tasks.units import Judgement, Reading
from sparring_shared.errors import Broken, InvalidInput, SparringError
from sparring_shared.records import Message
from sparring_shared.wire.judge import RankItem

LOG3 = 1.0986122886681098


def judgement(logits: list[list[float]]) -> Judgement:
    count = len(logits)
    reading = Reading(prompt_tokens=4, prompt_truncated=False, tokens=tuple(range(1, count + 1)), truncated=(True,) * count)
    return Judgement(np.array(logits), reading, units=2)


def test_a_lone_answer_gets_the_probability_that_it_beats_the_configured_one() -> None:
    (found,) = read_rewards(judgement([[0, 2 * LOG3], [0, 0]]), 1)
    assert (found.win_rate, found.log_odds) == (pytest.approx(0.75), pytest.approx(LOG3))
    assert (found.truncated, found.tokens) == (True, 5)


def test_a_certain_lone_answer_has_finite_log_odds() -> None:
    (found,) = read_rewards(judgement([[0, 90], [-90, 0]]), 1)
    assert (found.win_rate, found.log_odds) == (1.0, 90.0)


def test_rivals_get_their_win_rates_with_themselves_as_a_half() -> None:
    first, second = read_rewards(judgement([[0, 2 * LOG3], [0, 0]]), 2)
    assert (first.win_rate, second.win_rate) == (pytest.approx(0.625), pytest.approx(0.375))
    assert first.log_odds == pytest.approx(-second.log_odds)
    assert first.log_odds == pytest.approx(0.5108256237659907)  # log(0.625 / 0.375)
    assert (first.tokens, second.tokens) == (5, 6)


def test_rivals_are_answers_to_the_same_known_prompt() -> None:
    turns = (Message(role="user", content="p"),)
    answers = [Answer("p", "a"), Answer(None, "b"), Answer("p", "c"), Answer(None, "b"), Answer(turns, "d"), Answer(turns, "e")]
    assert rivals(answers) == [[0, 2], [1], [3], [4, 5]]


def test_what_the_judge_is_asked() -> None:
    asked: list[RankItem] = []

    async def ask(items: Sequence[RankItem]) -> list[Judgement | SparringError]:
        asked.extend(items)
        return [judgement([[0, 2 * LOG3], [0, 0]]) for _ in items]

    reward = rewarder(ask, "the other", max_candidates=2)
    found = asyncio.run(reward([Answer("p", "a"), Answer(None, "b"), Answer("p", "c")]))
    assert [one.win_rate for one in found] == pytest.approx([0.625, 0.75, 0.375])
    assert asked == [RankItem(prompt="p", candidates=("a", "c")), RankItem(prompt="", candidates=("b", "the other"))]
    assert asyncio.run(reward([])) == []
    assert len(asked) == 2
    with pytest.raises(InvalidInput, match=r"^The request holds 3 answers to one prompt; send 2 at most\.$"):
        asyncio.run(reward([Answer("p", text) for text in "abc"]))


def test_an_error_of_one_item_is_the_error_of_the_request() -> None:
    async def ask(items: Sequence[RankItem]) -> list[Judgement | SparringError]:
        return [judgement([[0, 1], [0, 0]]), Broken("damaged")]

    with pytest.raises(Broken, match="damaged"):
        asyncio.run(rewarder(ask, "", 8)([Answer("p", "a"), Answer("q", "b")]))
