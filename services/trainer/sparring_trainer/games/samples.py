"""What a round is trained on, in expectation: K answers drawn from the policy, enumerated, judged by the rounds' own maths."""

from dataclasses import dataclass
from functools import cache
from itertools import combinations_with_replacement
from math import lgamma
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sparring_shared.preference import Floats, best_worst, official_probs, pairwise_probs, scores, win_rates

Estimator = Literal["pairwise", "official"]
Indices = NDArray[np.int64]


@cache
def multisets(n: int, k: int) -> Indices:
    """How often each of n answers stands in each multiset of k [M, n]; M = 126 for k = n = 5."""
    return np.array([np.bincount(drawn, minlength=n) for drawn in combinations_with_replacement(range(n), k)])


@cache
def _log_orders(n: int, k: int) -> Floats:
    return np.array([lgamma(k + 1) - sum(lgamma(count + 1) for count in counts) for counts in multisets(n, k).tolist()])


def chances(log_policy: Floats, k: int) -> Floats:
    """The probability of each multiset when k answers are drawn [..., M]; `log_policy` [..., n]."""
    n = log_policy.shape[-1]
    return np.exp(_log_orders(n, k) + log_policy @ multisets(n, k).T)


@dataclass(frozen=True, slots=True)
class Judged:
    """Of every multiset of K: win rates of its answers [M, n], 0 for one that is not there, and its best and worst answer [M].

    The latter are those of selection `best_worst`; both are -1 where all scores tie, so that there is no pair.
    """

    rates: dict[Estimator, Floats]
    best: Indices
    worst: Indices


def judged(logits: Floats, k: int) -> Judged:
    """Judge every multiset of K answers of a game."""
    counts = multisets(len(logits), k)
    pairwise, official, picked = np.zeros(counts.shape), np.zeros(counts.shape), np.full((len(counts), 2), -1)
    for row, times in enumerate(counts):
        drawn = np.repeat(np.arange(len(logits)), times)
        among = logits[np.ix_(drawn, drawn)]
        pairwise[row, drawn], official[row, drawn] = win_rates(pairwise_probs(among)), win_rates(official_probs(among))
        # Rounded, since sums in another order differ in the last digit, which is no difference between answers.
        pair = best_worst(scores(among).round(12))
        picked[row] = -1 if pair is None else drawn[list(pair)]
    return Judged({"pairwise": pairwise, "official": official}, picked[:, 0], picked[:, 1])


@dataclass(frozen=True, slots=True)
class Told:
    """What an answer is told when the K - 1 others of its prompt are multiset m, for all m and answers of G games [G, M, n].

    `rates`: its win rate; `best`, `worst`: the chance that it, of its equals, is the chosen or the rejected one.
    """

    rates: dict[Estimator, Floats]
    best: Floats
    worst: Floats


def told(logits: Floats, k: int) -> Told:
    """Judge each answer of G games [G, n, n] together with every multiset of K - 1 others."""
    n, games = logits.shape[1], [judged(each, k) for each in logits]
    place = {tuple(counts): row for row, counts in enumerate(multisets(n, k).tolist())}
    others, answers = multisets(n, k - 1), np.arange(n)
    rows = np.array([[place[tuple(line)] for line in (counts + np.eye(n, dtype=np.int64)).tolist()] for counts in others])
    of_equals = 1 / (others + 1)
    return Told(
        {name: np.stack([game.rates[name][rows, answers] for game in games]) for name in games[0].rates},
        np.stack([np.where(game.best[rows] == answers, of_equals, 0) for game in games]),
        np.stack([np.where(game.worst[rows] == answers, of_equals, 0) for game in games]),
    )
