import math

import numpy as np
import pytest

from sparring_judge.answers import compare_result, competition_ranks, rank_result
from sparring_judge.engine import Judgement, games
from sparring_shared.errors import InvalidInput


def judgement(logits: list[list[float]]) -> Judgement:
    return Judgement(np.array(logits), (False, True), False, 2, 20)


def test_a_whole_matrix_gives_everything() -> None:
    found = rank_result(judgement([[0, 3], [1, 0]]), "pairwise", whole=True)
    assert found.probs[0][1] == pytest.approx(1 / (1 + math.exp(-1)))  # sigmoid((3 - 1) / 2)
    assert found.scores == (1, -1)  # (1/2) * (3 - 1)
    assert found.ranks == (1, 2)
    assert found.win_rates == pytest.approx((0.6155292893, 0.3844707107))
    assert found.truncated == (False, True)


def test_the_official_estimator_is_twice_as_sharp_at_two() -> None:
    found = rank_result(judgement([[0, 3], [1, 0]]), "official", whole=True)
    assert found.probs[0][1] == pytest.approx(1 / (1 + math.exp(-2)))  # sigmoid(1 - -1)


def test_a_part_of_the_matrix_gives_what_it_can() -> None:
    part = Judgement(np.array([[0, 3, np.nan], [1, 0, np.nan], [np.nan, np.nan, 0]]), (False,) * 3, False, 2, 20)
    pairwise, official = rank_result(part, "pairwise", whole=False), rank_result(part, "official", whole=False)
    assert pairwise.logits == ((0, 3, None), (1, 0, None), (None, None, 0))
    assert pairwise.probs[0][1] == pytest.approx(1 / (1 + math.exp(-1)))
    assert pairwise.probs[2] == (None, None, 0.5)
    assert official.probs == ((0.5, None, None), (None, 0.5, None), (None, None, 0.5))
    assert (pairwise.win_rates, pairwise.scores, pairwise.ranks) == (None, None, None)


def test_compare_keeps_both_orders() -> None:
    found = compare_result(judgement([[0, 3], [1, 0]]))
    assert (found.logit_ab, found.logit_ba, found.truncated) == (3, 1, (False, True))
    assert found.p_a == pytest.approx(1 / (1 + math.exp(-1)))


def test_ties_share_the_best_rank() -> None:
    assert competition_ranks(np.array([0.5, -1, 0.5 + 1e-16, 0])) == (1, 4, 1, 3)


def test_games_are_both_orders() -> None:
    assert games(3) == ((0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1))
    assert games(3, [(2, 0), (0, 2)]) == ((2, 0), (0, 2))
    assert games(1) == ()


@pytest.mark.parametrize("pair", [(0, 3), (-1, 0), (1, 1)])
def test_a_pair_must_name_two_candidates(pair: tuple[int, int]) -> None:
    with pytest.raises(InvalidInput, match="does not name two different candidates of 0 to 2"):
        games(3, [pair])
