"""Preference maths: from judge logits to probabilities, win rates and the pair to train on.

Pure functions of numpy arrays. C is the K x K matrix of raw judge logits, C[i, j] with i shown first and j second.
Sources: SPPO is arXiv 2405.00675, INPO is arXiv 2407.00617, PairRM's scores are those of llm-blender.
"""

from collections.abc import Generator, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def sigmoid(x: ArrayLike) -> Floats:
    """1 / (1 + exp(-x)), without overflow."""
    return np.exp(-np.logaddexp(0.0, -np.asarray(x, dtype=np.float64)))


def _square(name: str, matrix: ArrayLike) -> Floats:
    array = np.asarray(matrix, dtype=np.float64)
    if array.ndim != 2 or array.shape[0] != array.shape[1] or array.shape[0] < 1:
        raise ValueError(f"{name} must be a square matrix, but its shape is {array.shape}.")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, but it holds {array[~np.isfinite(array)][0]}.")
    return array


def _probabilities(name: str, matrix: ArrayLike, *, partly: bool = False) -> Floats:
    """Probabilities with P(i beats j) + P(j beats i) = 1; `partly`: NaN stands where the judge was not asked."""
    array = np.asarray(matrix, dtype=np.float64)
    array = _square(name, np.where(np.isnan(array), 0.5, array) if partly else array)
    outside = (array < 0) | (array > 1)
    if outside.any():
        raise ValueError(f"{name} must lie between 0 and 1, but it holds {array[outside][0]}.")
    unequal = np.abs(array + array.T - 1) > 1e-6
    if unequal.any():
        i, j = np.argwhere(unequal)[0].tolist()
        raise ValueError(
            f"{name} must be antisymmetric (P(i beats j) + P(j beats i) = 1), but [{i}][{j}] and [{j}][{i}] are "
            f"{array[i, j]} and {array[j, i]}."
        )
    return np.asarray(matrix, dtype=np.float64)


def pairwise_probs(logits: ArrayLike) -> Floats:
    """P(i beats j) = sigmoid((C_ij - C_ji) / 2), the judge's own probability averaged over both orders [K, K].

    Estimator `pairwise`; it keeps cycles. Raises ValueError for a matrix that is not square or not finite.
    """
    matrix = _square("logits", logits)
    return sigmoid((matrix - matrix.T) / 2)


def scores(logits: ArrayLike, *, partly: bool = False) -> Floats:
    """llm-blender's score of each candidate, s_i = mean over all K of (C_ij - C_ji) [K]; they sum to 0.

    `partly`: NaN stands where the judge was not asked, and for the score of an answer that did not meet all others.
    """
    matrix = np.asarray(logits, dtype=np.float64) if partly else _square("logits", logits)
    return (matrix - matrix.T).mean(axis=1)


def official_probs(logits: ArrayLike) -> Floats:
    """P(i beats j) = sigmoid(s_i - s_j) with llm-blender's scores s [K, K].

    Estimator `official`: what the published SPPO scripts compute. It is a Bradley-Terry model of the scores: among the K it
    knows no cycle, and where logits are differences of rewards its own are twice those of `pairwise`.
    """
    s = scores(logits)
    return sigmoid(s[:, None] - s[None, :])


def win_rates(probs: ArrayLike) -> Floats:
    """Estimated P(i beats the policy) = mean over all K of probs[i], self (0.5) included (SPPO eq. 4.5) [K]."""
    return _probabilities("probs", probs).mean(axis=1)


def win_rates_against(probs: ArrayLike, opponents: Sequence[int]) -> Floats:
    """Win rates estimated on some of the K answers only, self (0.5) included if it is one of them [K].

    The paper's K = 2 ablation (SPPO, figure 4) has the chosen and the rejected answer as opponents. NaN in `probs` stands
    for a pair that was not judged; the mean is over those that were.
    """
    columns = _probabilities("probs", probs, partly=True)[:, list(opponents)]
    known = ~np.isnan(columns)
    return np.where(known, columns, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)


def cover(values: ArrayLike) -> list[tuple[int, int]]:
    """Pairs (better, worse) in which each of the K answers stands equally often, so that SPPO is trained on all of them.

    The loss of a pair is the mean over its two answers, thus the mean over these pairs is the mean over all K (Algorithm 1).
    Of an even number the best is paired with the worst and so on inwards, K / 2 pairs; of an odd number each with the next
    in rank and the last with the first, K pairs: each answer is trained on twice.
    """
    order = np.argsort(-np.asarray(values, dtype=np.float64), kind="stable").tolist()
    k = len(order)
    if k % 2 == 0:
        return list(zip(order[: k // 2], order[: k // 2 - 1 : -1], strict=True))
    return [*pairwise(order), (order[0], order[-1])]


def random_pair(probs: ArrayLike, random: np.random.Generator) -> tuple[int, int]:
    """(chosen, rejected): two answers drawn at random, the first chosen with probability P(i beats j) (INPO eq. 1 and 8).

    Only that probability need be known. Raises ValueError where it is not.
    """
    p = _probabilities("probs", probs, partly=True)
    i, j = random_game(p.shape[0], random)
    if np.isnan(p[i, j]):
        raise ValueError(f"probs[{i}][{j}] must be known, since this pair was drawn, but it is nan.")
    return (i, j) if random.random() < p[i, j] else (j, i)


def best_worst(values: ArrayLike, texts: Sequence[str] | None = None) -> tuple[int, int] | None:
    """Indices of the highest and the lowest value, the first of equals; None if all tie or both say the same text."""
    array = np.asarray(values, dtype=np.float64)
    chosen, rejected = int(array.argmax()), int(array.argmin())
    if array[chosen] == array[rejected] or (texts is not None and texts[chosen] == texts[rejected]):
        return None
    return chosen, rejected


Games = Generator[tuple[int, int], float, tuple[int, int]]
"""Yields a game (i, j), is sent P(i beats j), and returns (winner, loser); on a tie the first of the two wins."""


def _game(i: int, j: int) -> Games:
    return (i, j) if (yield i, j) >= 0.5 else (j, i)


def _bracket(entrants: list[int], advances: Literal[0, 1]) -> Generator[tuple[int, int], float, int]:
    """Play neighbours until one is left: the winner (0) or the loser (1) of a game advances, an odd one out has a bye."""
    while len(entrants) > 1:
        played: list[int] = []
        for i, j in zip(entrants[::2], entrants[1::2], strict=False):
            played.append((yield from _game(i, j))[advances])
        entrants = played + entrants[len(played) * 2 :]
    return entrants[0]


def knockout_games(k: int) -> Generator[tuple[int, int], float, tuple[int, int] | None]:
    """INPO's tournament among k >= 2 answers as a coroutine, so that a judge is asked only for the games that are played.

    Neighbours meet; the winners play on for the best answer, the losers for the worst, then the two meet: the result is
    (chosen, rejected), or None unless chosen beats rejected. 11 games at k=8. With an odd k the last answer has a bye into
    both brackets (ours; the paper plays 8).
    """
    opening: list[tuple[int, int]] = []
    for i in range(0, k - 1, 2):
        opening.append((yield from _game(i, i + 1)))
    bye = [k - 1] if k % 2 else []
    chosen = yield from _bracket([winner for winner, _ in opening] + bye, 0)
    rejected = yield from _bracket([loser for _, loser in opening] + bye, 1)
    if chosen == rejected:
        return None
    return (chosen, rejected) if (yield chosen, rejected) > 0.5 else None


def next_game(k: int, probs: ArrayLike | None) -> tuple[int, int] | None:
    """The next game (i, j) of INPO's tournament among k answers, given what is known (NaN: not judged); None at its end."""
    p = np.full((k, k), np.nan) if probs is None else _probabilities("probs", probs, partly=True)
    games = knockout_games(k)
    try:
        i, j = next(games)
        while not np.isnan(p[i, j]):
            i, j = games.send(float(p[i, j]))
    except StopIteration:
        return None
    return i, j


def random_game(k: int, random: np.random.Generator) -> tuple[int, int]:
    """Two of k answers, drawn at random: the pair that `random_pair` decides."""
    i, j = random.choice(k, size=2, replace=False).tolist()
    return i, j


def knockout(probs: ArrayLike, texts: Sequence[str] | None = None) -> tuple[int, int] | None:
    """(chosen, rejected) of INPO's tournament when the probabilities of its games are known; None also for the same text."""
    p = _probabilities("probs", probs, partly=True)
    games = knockout_games(p.shape[0])
    try:
        i, j = next(games)
        while True:
            if np.isnan(p[i, j]):
                raise ValueError(f"probs[{i}][{j}] must be known, since the tournament plays it, but it is nan.")
            i, j = games.send(float(p[i, j]))
    except StopIteration as end:
        pair: tuple[int, int] | None = end.value
    same_text = pair is not None and texts is not None and texts[pair[0]] == texts[pair[1]]
    return None if same_text else pair
