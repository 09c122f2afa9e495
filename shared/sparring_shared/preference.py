"""Preference maths: from judge logits to probabilities, win rates and the pair to train on.

Pure functions of numpy arrays. C is the K x K matrix of raw judge logits, C[i, j] with i shown first and j second.
Sources: SPPO is arXiv 2405.00675, INPO is arXiv 2407.00617, PairRM's scores are those of llm-blender.
"""

from collections.abc import Callable, Sequence

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


def pairwise_probs(logits: ArrayLike) -> Floats:
    """P(i beats j) = sigmoid((C_ij - C_ji) / 2), the judge's own probability averaged over both orders [K, K].

    Estimator `pairwise`; it keeps cycles. Raises ValueError for a matrix that is not square or not finite.
    """
    matrix = _square("logits", logits)
    return sigmoid((matrix - matrix.T) / 2)


def scores(logits: ArrayLike) -> Floats:
    """llm-blender's score of each candidate, s_i = mean over all K of (C_ij - C_ji) [K]; they sum to 0."""
    matrix = _square("logits", logits)
    return (matrix - matrix.T).mean(axis=1)


def official_probs(logits: ArrayLike) -> Floats:
    """P(i beats j) = sigmoid(s_i - s_j) with llm-blender's scores s [K, K].

    Estimator `official`: what the published SPPO scripts compute. It is a Bradley-Terry model of the scores: cycles are
    lost and probabilities are about twice as sharp as `pairwise`.
    """
    s = scores(logits)
    return sigmoid(s[:, None] - s[None, :])


def win_rates(probs: ArrayLike) -> Floats:
    """Estimated P(i beats the policy) = mean over all K of probs[i], self (0.5) included (SPPO eq. 4.5) [K]."""
    return _square("probs", probs).mean(axis=1)


def best_worst(values: ArrayLike, texts: Sequence[str] | None = None) -> tuple[int, int] | None:
    """Indices of the highest and the lowest value, the first of equals; None if all tie or both say the same text."""
    array = np.asarray(values, dtype=np.float64)
    chosen, rejected = int(array.argmax()), int(array.argmin())
    if array[chosen] == array[rejected] or (texts is not None and texts[chosen] == texts[rejected]):
        return None
    return chosen, rejected


def _bracket(entrants: list[int], advances: Callable[[int, int], int]) -> int:
    """Play neighbours until one is left; an odd one out waits for the next stage (a bye)."""
    while len(entrants) > 1:
        played = [advances(a, b) for a, b in zip(entrants[::2], entrants[1::2], strict=False)]
        entrants = played + entrants[len(played) * 2 :]
    return entrants[0]


def knockout(probs: ArrayLike, texts: Sequence[str] | None = None) -> tuple[int, int] | None:
    """INPO's tournament: (chosen, rejected), or None unless chosen beats rejected; 11 comparisons at K=8.

    Neighbours meet; the winners play on for the best answer, the losers for the worst, then the two meet. On a tie the
    first of the two counts as the winner. With an odd K the last one has a bye into both brackets (ours; the paper plays 8).
    """
    p = _square("probs", probs)
    k = p.shape[0]
    if k < 2:
        return None

    def winner(a: int, b: int) -> int:
        return a if p[a, b] >= 0.5 else b

    def loser(a: int, b: int) -> int:
        return b if p[a, b] >= 0.5 else a

    games = [(i, i + 1) for i in range(0, k - 1, 2)]
    bye = [k - 1] if k % 2 else []
    chosen = _bracket([winner(a, b) for a, b in games] + bye, winner)
    rejected = _bracket([loser(a, b) for a, b in games] + bye, loser)
    same_text = texts is not None and texts[chosen] == texts[rejected]
    return None if same_text or not p[chosen, rejected] > 0.5 else (chosen, rejected)
