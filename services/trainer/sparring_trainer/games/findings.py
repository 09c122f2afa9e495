"""Every method on one game, and what is found."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from sparring_shared.preference import Floats
from sparring_trainer.games import play, tabular
from sparring_trainer.games.closed_form import many_rounds, multiplicative_weights
from sparring_trainer.games.equilibrium import nash, regularised_nash
from sparring_trainer.games.matrices import Game
from sparring_trainer.games.play import Played
from sparring_trainer.games.survey import K

LONGEST = 25_600
"""Rounds of SPPO's longest run; the update is the closed form, which the minimiser of the loss is checked to equal."""
TRAINED = 200
"""Rounds of SPPO by gradient descent."""
ETA = 0.2
"""SPPO's eta in those rounds; in the long runs it goes with 1 / sqrt(T)."""
INPO_ETA, INPO_TAU = 1.0, 0.1
COMAL_ETA, COMAL_TAU, COMAL_RESET, COMAL_ROUNDS = 0.5, 0.05, 30, 9000
DPO_BETA = 5.0
PROMPTS = 2000


@dataclass(frozen=True, slots=True)
class Finding:
    """One method on one game; `says` is what it comes to, in words."""

    method: str
    played: Played
    says: str


@dataclass(frozen=True, slots=True)
class GameReport:
    """All methods on one game, and its equilibrium [n]."""

    game: Game
    equilibrium: Floats
    findings: tuple[Finding, ...]

    def of(self, method: str) -> Played:
        """What a method played."""
        return next(finding.played for finding in self.findings if finding.method == method)


def report_on(game: Game, seed: int) -> GameReport:
    """Play every method on a game; `seed` fixes what is drawn."""
    equilibrium = nash(game.probs)
    makers: tuple[Callable[[], Finding], ...] = (
        lambda: _sppo_long(game, equilibrium),
        lambda: _sppo_trained(game),
        lambda: _sppo_drawn(game, seed),
        lambda: _sppo_official(game),
        lambda: _dpo(game),
        lambda: _inpo(game),
        lambda: _inpo_drawn(game, seed),
        lambda: _comal(game, equilibrium),
    )
    return GameReport(game, equilibrium, tuple(make() for make in makers))


def long_run(game: Game, rounds: int) -> Played:
    """SPPO's exact update with eta = sqrt(8 D / T), D = max log 1 / pi_1, for which sqrt(T) gap <= `rate_bound`."""
    eta = np.sqrt(8 * np.log(1 / game.start.min()) / rounds)
    return play.measured(game, many_rounds(game.probs, game.start, eta, rounds))


def rate_bound(game: Game) -> float:
    """sqrt(2 D): what sqrt(T) times the gap of SPPO's average stays under, by Freund and Schapire's theorem 1."""
    return float(np.sqrt(2 * np.log(1 / game.start.min())))


def turns(policies: Floats, equilibrium: Floats) -> int:
    """How often the equilibrium's foremost answer rises through its probability there: the turns of a cycle."""
    foremost = int(equilibrium.argmax())
    above = policies[:, foremost] > equilibrium[foremost]
    return int((~above[:-1] & above[1:]).sum())


def half_distance(game: Game, eta: float) -> float:
    """Total variation between SPPO's minimiser with one half for log Z / eta and the closed form, after one round."""
    previous, probs = torch.from_numpy(np.log(game.start)), torch.from_numpy(game.probs)
    rates = probs @ previous.exp()
    pairs = tabular.expected_pairs(previous.exp(), probs, rates)
    found = tabular.minimise(tabular.sppo(pairs, previous, eta=eta), previous, previous.exp(), step=0.1)
    exact = multiplicative_weights(previous.numpy(), rates.numpy(), eta)
    return float(np.abs(found.exp().numpy() - np.exp(exact)).sum() / 2)


def _sppo_long(game: Game, equilibrium: Floats) -> Finding:
    played = long_run(game, LONGEST)
    rate, around = np.sqrt(LONGEST) * played.average[-1], turns(played.policies, equilibrium)
    return Finding("SPPO", played, f"closed form; sqrt(T) gap {rate:.2f}, bound {rate_bound(game):.2f}; {around} turns")


def _sppo_trained(game: Game) -> Finding:
    played = play.play(game, play.sppo(game, ETA), TRAINED)
    off = np.abs(played.policies - many_rounds(game.probs, game.start, ETA, TRAINED + 1)).max()
    halves = ", ".join(f"{half_distance(game, eta):.0e} at eta {eta:g}" for eta in (ETA, 5.0))
    return Finding("SPPO, trained", played, f"{off:.0e} from the closed form; one round with one half for log Z: {halves}")


def _sppo_drawn(game: Game, seed: int) -> Finding:
    played = play.play(game, play.sppo_drawn(game, ETA, prompts=PROMPTS, k=4, seed=seed), TRAINED)
    return Finding("SPPO, drawn", played, f"{PROMPTS} prompts a round, K = 4, one half for log Z")


def _sppo_official(game: Game) -> Finding:
    played = play.play(game, play.sppo_official(game, ETA, k=K), TRAINED)
    return Finding("SPPO, official", played, f"best and worst of {K} drawn from pi_t, one half for log Z")


def _dpo(game: Game) -> Finding:
    played = play.play(game, play.dpo(game, DPO_BETA), TRAINED)
    return Finding("iterative DPO", played, f"pairs drawn from pi_t, beta {DPO_BETA:g}")


def _inpo(game: Game) -> Finding:
    played = play.play(game, play.inpo(game, INPO_ETA, INPO_TAU), TRAINED + 100)
    off = np.abs(played.policies[-1] - regularised_nash(game.probs, game.start, INPO_TAU)).max()
    return Finding("INPO", played, f"last policy {off:.0e} from the regularised equilibrium")


def _inpo_drawn(game: Game, seed: int) -> Finding:
    played = play.play(game, play.inpo_drawn(game, INPO_ETA, INPO_TAU, prompts=PROMPTS, seed=seed), TRAINED)
    off = np.abs(played.policies[-1] - regularised_nash(game.probs, game.start, INPO_TAU)).max()
    return Finding("INPO, drawn", played, f"{PROMPTS} pairs a round; {off:.0e} from the regularised equilibrium")


def _comal(game: Game, equilibrium: Floats) -> Finding:
    rounds = play.inpo(game, COMAL_ETA, COMAL_TAU)
    played = play.play(game, rounds, COMAL_ROUNDS, reset_every=COMAL_RESET, until=1e-8)
    off = np.abs(played.policies[-1] - equilibrium).max()
    return Finding("COMAL", played, f"reset every {COMAL_RESET} rounds; last policy {off:.0e} from the exact equilibrium")
