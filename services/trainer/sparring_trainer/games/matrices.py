"""Symmetric games of n answers, each given by its preference matrix P(i beats j)."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sparring_shared.preference import Floats, pairwise_probs


def check_game(matrix: ArrayLike) -> Floats:
    """The matrix [n, n]. Raises ValueError unless it is square, within [0, 1] and P(i beats j) + P(j beats i) = 1."""
    probs = np.asarray(matrix, dtype=np.float64)
    if probs.ndim != 2 or probs.shape[0] != probs.shape[1]:
        raise ValueError(f"matrix must be square, but its shape is {probs.shape}")
    if not ((probs >= 0) & (probs <= 1)).all():
        raise ValueError(f"matrix must lie between 0 and 1, but it holds {probs[~((probs >= 0) & (probs <= 1))][0]}")
    uneven = np.abs(probs + probs.T - 1) > 1e-9
    if uneven.any():
        i, j = np.argwhere(uneven)[0].tolist()
        raise ValueError(f"matrix must be antisymmetric around 1/2, but [{i}][{j}] + [{j}][{i}] is {probs[i, j] + probs[j, i]}")
    return probs


@dataclass(frozen=True, slots=True)
class Game:
    """A game by its judge logits s(i, j) = -s(j, i) [n, n], and the policy [n] that plays first and is the base."""

    name: str
    logits: Floats
    start: Floats

    @property
    def probs(self) -> Floats:
        """P(i beats j) [n, n]."""
        return check_game(pairwise_probs(self.logits))


def _skew(upper: Floats, n: int) -> Floats:
    logits = np.zeros((len(upper), n, n))
    logits[:, *np.triu_indices(n, 1)] = upper
    return logits - logits.swapaxes(1, 2)


def game(name: str, upper: list[float], start: list[float]) -> Game:
    """A game by the logits above its diagonal, row by row, and its first policy's weights."""
    weights = np.array(start)
    return Game(name, _skew(np.array([upper]), len(start))[0], weights / weights.sum())


def random_game(name: str, n: int, seed: int) -> Game:
    """Independent normal logits: preferences that no reward explains."""
    random = np.random.default_rng(seed)
    return game(name, (1.5 * random.standard_normal(n * (n - 1) // 2)).tolist(), list(range(1, n + 1)))


def bradley_terry(name: str, rewards: list[float]) -> Game:
    """Preferences that a reward explains: s(i, j) = r_i - r_j. The best answer alone is the equilibrium."""
    r = np.array(rewards)
    weights = np.arange(1, len(rewards) + 1)
    return Game(name, r[:, None] - r[None, :], weights / weights.sum())


GAMES = {
    each.name: each
    for each in (
        game("rock-paper-scissors", [-1.5, 1.5, -1.5], [5, 2, 3]),
        game("biased", [-1.0, 2.0, -0.5], [5, 2, 3]),
        random_game("random-4", 4, 4),
        random_game("random-6", 6, 1),
        bradley_terry("bradley-terry", [1.0, 0.4, 0.0, -0.3, -1.1]),
    )
}
"""The games that `sparring games` knows: a fair and a biased cycle, two random intransitive ones, and a control."""


def cycles(random: np.random.Generator, games: int) -> Floats:
    """Games of three answers, each of which beats the next, with three strengths of their own: logits [G, 3, 3]."""
    upper = np.abs(1.5 * random.standard_normal((games, 3))) + 0.05
    return _skew(upper * [-1, 1, -1], 3)


def skew(condorcet: bool) -> Callable[[np.random.Generator, int], Floats]:
    """Games of five answers with independent normal logits: those in which one answer beats all others, or those without."""

    def drawn(random: np.random.Generator, games: int) -> Floats:
        found: list[Floats] = []
        while len(found) < games:
            logits = _skew(1.5 * random.standard_normal((1, 10)), 5)[0]
            found += [logits] if ((logits > 0).sum(axis=1) == 4).any() == condorcet else []
        return np.stack(found)

    return drawn


def rewarded(random: np.random.Generator, games: int) -> Floats:
    """Games of five answers that a reward explains: logits [G, 5, 5]."""
    rewards = random.standard_normal((games, 5))
    return rewards[:, :, None] - rewards[:, None, :]


FAMILIES: dict[str, Callable[[np.random.Generator, int], Floats]] = {
    "cycle of 3": cycles,
    "random 5, no Condorcet winner": skew(condorcet=False),
    "random 5, a Condorcet winner": skew(condorcet=True),
    "random 5, Bradley-Terry": rewarded,
}
"""The families that are surveyed; all start from a policy in proportion to 1, 2, ..., n."""
