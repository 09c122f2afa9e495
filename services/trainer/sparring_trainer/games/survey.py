"""What separates the methods' signals, measured over many games at equal steps.

A round of each is pi_{t+1} ~ pi_t exp(step signal(pi_t)), the minimiser of its loss on what is drawn from pi_t (for SPPO with
the exact log-partition); where DPO has none, since an answer may always win, it is one gradient step. Policies and signals of
G games are [G, n].
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sparring_shared.preference import Floats, pairwise_probs
from sparring_trainer.games.closed_form import bradley_terry_reward
from sparring_trainer.games.matrices import FAMILIES
from sparring_trainer.games.samples import Estimator, Told, chances, told

K = 5
GAMES_EACH = 100
ROUNDS, SPREAD = 10_000, 0.02
"""The long play, and the standard deviation of its first round's log-ratios under pi_1, in nats, mean over a family's games."""
FEW_ROUNDS, FEW_SPREAD = 3, 1.0
"""The short play: as few rounds as in the papers, with steps so large that they matter."""
NEAR = 0.01
"""Under this gap an equilibrium counts as approached."""

Signal = Callable[[Floats, Floats], Floats]
"""From log pi_t and the signal of the round before to the log-ratio of a round with step 1, up to a constant."""


@dataclass(frozen=True, slots=True)
class Family:
    """G games: P(i beats j) [G, n, n], and what the answers of K are told."""

    probs: Floats
    told: Told


def general(family: Family) -> Signal:
    """SPPO and general preferences: P(y beats pi_t)."""
    return lambda log_policy, _: _times(np.exp(log_policy), family.probs.swapaxes(1, 2))


def of_best_and_worst(estimator: Estimator) -> Callable[[Family], Signal]:
    """SPPO on the best and the worst of K: the mean win rate of an answer when it is one of them."""

    def of(family: Family) -> Signal:
        taken = family.told.best + family.told.worst
        rates = taken * family.told.rates[estimator]

        def signal(log_policy: Floats, _: Floats) -> Floats:
            others = chances(log_policy, K - 1)
            return _times(others, rates) / np.maximum(_times(others, taken), 1e-300)

        return signal

    return of


def dpo(family: Family) -> Signal:
    """DPO on two answers of pi_t and the judge's verdict: the Bradley-Terry reward that fits them best."""
    return lambda log_policy, last: bradley_terry_reward(family.probs, np.exp(log_policy), last)


def dpo_of_best_and_worst(family: Family) -> Signal:
    """DPO on the best against the worst of K, one gradient step: how much more often an answer is the best than the worst."""
    pull = family.told.best - family.told.worst
    return lambda log_policy, _: _times(chances(log_policy, K - 1), pull)


METHODS: dict[str, Callable[[Family], Signal]] = {
    "SPPO": general,
    f"SPPO, best and worst of {K}": of_best_and_worst("pairwise"),
    f"SPPO, official, best and worst of {K}": of_best_and_worst("official"),
    "iterative DPO": dpo,
    f"iterative DPO, best and worst of {K}": dpo_of_best_and_worst,
}


@dataclass(frozen=True, slots=True)
class Course:
    """One method on the G games of a family: duality gaps of the average policy after the rounds `at` [len(at), G], of the
    last policies of the long play and of the short one [G]."""

    family: str
    method: str
    at: tuple[int, ...]
    average: Floats
    last: Floats
    last_of_few: Floats


def survey(seed: int, games: int = GAMES_EACH, rounds: int = ROUNDS) -> list[Course]:
    """Every method on every family; `seed` fixes the games."""
    courses: list[Course] = []
    at = measured_rounds(rounds)
    for name, draw in FAMILIES.items():
        logits = draw(np.random.default_rng(seed), games)
        family = Family(np.stack([pairwise_probs(each) for each in logits]), told(logits, K))
        for method, of in METHODS.items():
            average, last = played(of(family), family.probs, at, SPREAD)
            few = played(of(family), family.probs, (FEW_ROUNDS,), FEW_SPREAD)[1]
            courses.append(Course(name, method, at, average, last, few))
    return courses


def measured_rounds(rounds: int) -> tuple[int, ...]:
    """The rounds after which the average is measured: up to 80, evenly on a logarithmic scale, the last, and 200."""
    return tuple(sorted({*np.geomspace(1, rounds, 80).astype(int).tolist(), min(200, rounds), rounds}))


def played(signal: Signal, probs: Floats, at: tuple[int, ...], spread: float) -> tuple[Floats, Floats]:
    """Gaps of the average policy after the rounds `at`, and of the policy after the last of them."""
    games, n = probs.shape[:2]
    log_policy = np.tile(np.log(np.arange(1, n + 1) / (n * (n + 1) / 2)), (games, 1))
    tilt, total = signal(log_policy, np.zeros_like(log_policy)), np.zeros_like(log_policy)
    step, gaps = spread / _spread(log_policy, tilt), list[Floats]()
    for number in range(1, at[-1] + 1):
        total += np.exp(log_policy)
        if number in at:
            gaps.append(_gaps(probs, total / number))
        tilt = signal(log_policy, tilt)
        log_policy = log_policy + step * tilt
        log_policy -= np.logaddexp.reduce(log_policy, axis=1, keepdims=True)
    return np.stack(gaps), _gaps(probs, np.exp(log_policy))


def _times(rows: Floats, matrices: Floats) -> Floats:
    """Each game's row [G, m] times its matrix [G, m, n]."""
    return (rows[:, None, :] @ matrices)[:, 0, :]


def _gaps(probs: Floats, policies: Floats) -> Floats:
    """`equilibrium.duality_gap` of each game's policy [G]."""
    return 2 * _times(policies, probs.swapaxes(1, 2)).max(axis=1) - 1


def _spread(log_policy: Floats, logratio: Floats) -> float:
    """The standard deviation of log-ratios under the policy, its mean over the games."""
    policy = np.exp(log_policy)
    means = (policy * logratio).sum(axis=1, keepdims=True)
    return float(np.sqrt((policy * (logratio - means) ** 2).sum(axis=1)).mean())
