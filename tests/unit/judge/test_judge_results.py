import math

import numpy as np
import pytest

from sparring_judge.service.results import compare_result, competition_ranks, rank_result
from sparring_judge.tasks.task import Task, games, new_task
from sparring_judge.tasks.units import Judgement, Reading, unit_key
from sparring_shared.errors import InvalidInput
from sparring_shared.records import JudgeRef
from sparring_shared.wire.judge import RankItem


def judgement(logits: list[list[float]]) -> Judgement:
    return Judgement(np.array(logits), Reading(7, True, (2, 900), (False, True)), units=2, cache_hits=1)


def test_a_whole_matrix_gives_everything() -> None:
    found = rank_result(judgement([[0, 3], [1, 0]]), "pairwise", whole=True)
    assert found.probs[0][1] == pytest.approx(1 / (1 + math.exp(-1)))  # sigmoid((3 - 1) / 2)
    assert found.scores == (1, -1)  # (1/2) * (3 - 1)
    assert found.ranks == (1, 2)
    assert found.win_rates == pytest.approx((0.6155292893, 0.3844707107))
    assert (found.truncated, found.tokens, found.prompt_truncated, found.prompt_tokens) == ((False, True), (2, 900), True, 7)
    assert found.position_bias == 2  # (3 + 1) / 2
    assert (found.passes, found.cache_hits) == (2, 1)


def test_the_official_estimator_is_twice_as_sharp_at_two() -> None:
    found = rank_result(judgement([[0, 3], [1, 0]]), "official", whole=True)
    assert found.probs[0][1] == pytest.approx(1 / (1 + math.exp(-2)))  # sigmoid(1 - -1)


def test_a_part_of_the_matrix_gives_what_it_can() -> None:
    part = Judgement(
        np.array([[0, 3, np.nan], [1, 0, np.nan], [np.nan, np.nan, 0]]), Reading(7, False, (1,) * 3, (False,) * 3), 2
    )
    pairwise, official = rank_result(part, "pairwise", whole=False), rank_result(part, "official", whole=False)
    assert pairwise.logits == ((0, 3, None), (1, 0, None), (None, None, 0))
    assert pairwise.probs[0][1] == pytest.approx(1 / (1 + math.exp(-1)))
    assert pairwise.probs[2] == (None, None, 0.5)
    assert official.probs == ((0.5, None, None), (None, 0.5, None), (None, None, 0.5))
    assert (pairwise.win_rates, pairwise.scores, pairwise.ranks) == (None, None, None)
    assert pairwise.position_bias == 2


def test_a_lone_candidate_draws_with_itself() -> None:
    found = rank_result(Judgement(np.zeros((1, 1)), Reading(1, False, (1,), (False,)), 0), "pairwise", whole=True)
    assert (found.probs, found.win_rates, found.scores, found.ranks) == (((0.5,),), (0.5,), (0,), (1,))
    assert found.position_bias is None


def test_compare_keeps_both_orders() -> None:
    found = compare_result(judgement([[0, 3], [1, 0]]), "pairwise")
    assert (found.logit_ab, found.logit_ba, found.truncated) == (3, 1, (False, True))
    assert found.p_a == pytest.approx(1 / (1 + math.exp(-1)))
    assert (found.position_bias, found.position_consistent) == (2, False)
    assert compare_result(judgement([[0, 3], [-1, 0]]), "official").p_a == pytest.approx(1 / (1 + math.exp(-4)))
    assert compare_result(judgement([[0, 3], [-1, 0]]), "pairwise").position_consistent


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


@pytest.mark.parametrize("count", [0, 5])
def test_an_item_with_too_few_or_too_many_candidates_is_its_own_error(count: int) -> None:
    found = new_task(RankItem(prompt="x", candidates=("a",) * count), max_candidates=4)
    assert isinstance(found, InvalidInput)
    assert found.message == f"The item holds {count} candidates; send 1 to 4."
    assert isinstance(new_task(RankItem(prompt="x", candidates=("a",) * 4), max_candidates=4), Task)


def test_what_one_engine_computed_is_not_taken_for_another() -> None:
    pairrm, blender = (JudgeRef(name="PairRM", revision="1", engine=engine) for engine in ("pairrm", "llm-blender"))
    assert unit_key(pairrm, (1, 2)) == unit_key(pairrm, (1, 2))
    assert unit_key(pairrm, (1, 2)) != unit_key(blender, (1, 2))
