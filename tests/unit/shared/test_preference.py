"""Preference maths: literals in, exact values out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sparring_shared.preference import (
    best_worst,
    cover,
    knockout,
    knockout_games,
    official_probs,
    pairwise_probs,
    scores,
    sigmoid,
    win_rates,
    win_rates_against,
)

LOGITS = [[0.0, 2.0, -1.0], [-1.0, 0.0, 3.0], [1.5, -2.0, 0.0]]


def test_pairwise_is_the_order_averaged_probability() -> None:
    probs = pairwise_probs(LOGITS)
    assert probs[0, 1] == pytest.approx(1 / (1 + np.exp(-1.5)))
    assert probs[0, 2] == pytest.approx(1 / (1 + np.exp(1.25)))
    assert probs[1, 2] == pytest.approx(1 / (1 + np.exp(-2.5)))
    assert np.diag(probs).tolist() == [0.5, 0.5, 0.5]


def test_scores_are_llm_blenders() -> None:
    assert scores(LOGITS).tolist() == pytest.approx([(3.0 - 2.5) / 3, (-3.0 + 5.0) / 3, (2.5 - 5.0) / 3])


def test_official_loses_the_cycle_that_pairwise_keeps() -> None:
    rock_paper_scissors = [[0.0, 2.0, -2.0], [-2.0, 0.0, 2.0], [2.0, -2.0, 0.0]]
    assert official_probs(rock_paper_scissors).tolist() == [[0.5] * 3] * 3
    assert pairwise_probs(rock_paper_scissors)[0, 1] == pytest.approx(1 / (1 + np.exp(-2.0)))


def test_official_is_twice_as_sharp_for_two() -> None:
    logits = [[0.0, 1.0], [-0.5, 0.0]]
    assert official_probs(logits)[0, 1] == pytest.approx(float(sigmoid(1.5)))
    assert pairwise_probs(logits)[0, 1] == pytest.approx(float(sigmoid(0.75)))


def test_win_rates_include_self_as_one_half() -> None:
    assert win_rates([[0.5, 0.9], [0.1, 0.5]]).tolist() == pytest.approx([0.7, 0.3])


@given(arrays(np.float64, (5, 5), elements=st.floats(-30, 30)), st.permutations(range(5)))
def test_antisymmetric_and_equivariant(logits: np.ndarray, order: list[int]) -> None:
    probs = pairwise_probs(logits)
    assert np.allclose(probs + probs.T, 1)
    assert win_rates(probs).sum() == pytest.approx(2.5)
    assert np.allclose(pairwise_probs(logits[np.ix_(order, order)]), probs[np.ix_(order, order)])


@pytest.mark.parametrize(
    ("matrix", "message"),
    [([[0.0, 1.0]], r"square matrix, but its shape is \(1, 2\)"), ([[0.0, float("nan")], [0.0, 0.0]], "finite.*nan")],
)
def test_a_matrix_that_does_not_fit_is_named(matrix: list[list[float]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pairwise_probs(matrix)


def test_best_and_worst() -> None:
    assert best_worst([0.1, 0.9, -0.4]) == (1, 2)
    assert best_worst([0.3, 0.3, 0.3]) is None
    assert best_worst([0.1, 0.9, -0.4], ["a", "same", "same"]) is None


def ladder(order: list[int]) -> np.ndarray:
    """Probabilities in which an answer earlier in `order` beats every later one with 0.9."""
    place = {answer: rank for rank, answer in enumerate(order)}
    k = len(order)
    return np.array([[0.5 if i == j else 0.9 if place[i] < place[j] else 0.1 for j in range(k)] for i in range(k)])


@pytest.mark.parametrize("order", [[3, 1, 0, 2], [7, 2, 5, 0, 1, 6, 3, 4], [4, 0, 3, 2, 1], [2, 0, 1]])
def test_knockout_finds_best_and_worst_of_an_order(order: list[int]) -> None:
    assert knockout(ladder(order)) == (order[0], order[-1])


def test_knockout_drops_a_winner_that_does_not_beat_the_loser() -> None:
    probs = np.full((4, 4), 0.5)
    for winner, loser in [(0, 1), (2, 3), (0, 2), (3, 1)]:
        probs[winner, loser], probs[loser, winner] = 0.9, 0.1
    # 0 wins its bracket; 3 beats 1, so 1 is the worst; 0 beats 1.
    assert knockout(probs) == (0, 1)
    probs[0, 1], probs[1, 0] = 0.5, 0.5
    # On the tie 0 still advances as the first of the two, but does not beat 1 in the last game.
    assert knockout(probs) is None


@pytest.mark.parametrize(("k", "games"), [(2, 2), (4, 5), (8, 11), (5, 7)])
def test_knockout_plays_eleven_games_at_eight(k: int, games: int) -> None:
    tournament = knockout_games(k)
    next(tournament)
    played = 1
    with pytest.raises(StopIteration) as end:
        while True:
            tournament.send(0.9)
            played += 1
    assert played == games
    assert end.value.value is not None


def test_a_subset_of_the_answers_estimates_the_win_rates() -> None:
    probs = [[0.5, 0.9, 0.2], [0.1, 0.5, 0.6], [0.8, 0.4, 0.5]]
    assert win_rates_against(probs, [0, 1]).tolist() == pytest.approx([0.7, 0.3, 0.6])
    assert win_rates_against(probs, [0, 1, 2]).tolist() == win_rates(probs).tolist()
    nan = float("nan")
    assert win_rates_against([[0.5, nan], [nan, 0.5]], [0, 1]).tolist() == [0.5, 0.5]


@pytest.mark.parametrize("k", range(2, 9))
def test_a_cover_holds_every_answer_equally_often_and_the_better_first(k: int) -> None:
    values = [(7 * i) % k for i in range(k)]
    pairs = cover(values)
    seen = [index for pair in pairs for index in pair]
    assert {seen.count(index) for index in range(k)} == ({1} if k % 2 == 0 else {2})
    assert all(values[better] >= values[worse] for better, worse in pairs)


def test_a_cover_goes_from_the_outside_in() -> None:
    assert cover([0.1, 0.9, 0.5, -1.0]) == [(1, 3), (2, 0)]
    assert cover([0.1, 0.9, 0.5]) == [(1, 2), (2, 0), (1, 0)]


@pytest.mark.parametrize(
    ("probs", "message"),
    [
        ([[0.5, 1.2], [-0.2, 0.5]], "probs must lie between 0 and 1, but it holds 1.2"),
        ([[0.5, 0.9], [0.2, 0.5]], r"probs must be antisymmetric .* \[0\]\[1\] and \[1\]\[0\] are 0.9 and 0.2"),
        ([[0.5, 0.9]], r"square matrix, but its shape is \(1, 2\)"),
    ],
)
def test_probabilities_that_are_none_are_refused(probs: list[list[float]], message: str) -> None:
    for function in (win_rates, knockout):
        with pytest.raises(ValueError, match=message):
            function(probs)
