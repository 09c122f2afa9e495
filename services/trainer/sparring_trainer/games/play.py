"""Rounds of self-play on a game: each round the policy of the round before is trained on what it drew."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sparring_shared.preference import Floats
from sparring_trainer.games import tabular
from sparring_trainer.games.closed_form import log_partition
from sparring_trainer.games.equilibrium import duality_gap
from sparring_trainer.games.matrices import Game
from sparring_trainer.games.samples import judged

Round = Callable[[int, Tensor, Tensor], Tensor]
"""From the round's number (from 1), log pi_t and log pi_ref to log pi_{t+1}, all [n]."""


@dataclass(frozen=True, slots=True)
class Played:
    """The policies pi_1 (the start) to pi_{T+1} [T + 1, n], and the duality gaps of each and of their running means."""

    policies: Floats
    last: Floats
    average: Floats


def measured(game: Game, policies: Floats) -> Played:
    """Gaps of every policy and of the mean of all up to it."""
    means = np.cumsum(policies, axis=0) / np.arange(1, len(policies) + 1)[:, None]
    return Played(policies, duality_gap(game.probs, policies), duality_gap(game.probs, means))


def play(game: Game, one_round: Round, rounds: int, *, reset_every: int | None = None, until: float | None = None) -> Played:
    """`rounds` rounds from the game's start, which is the reference; with `reset_every` pi_t becomes it every so often.

    It ends earlier once the gap of the last policy is under `until`.
    """
    policy = torch.from_numpy(np.log(game.start))
    reference, kept = policy, [game.start]
    for number in range(1, rounds + 1):
        if reset_every is not None and (number - 1) % reset_every == 0:
            reference = policy
        policy = one_round(number, policy, reference)
        kept.append(policy.exp().numpy())
        if until is not None and duality_gap(game.probs, kept[-1]) < until:
            break
    return measured(game, np.stack(kept))


def sppo(game: Game, eta: float) -> Round:
    """SPPO in expectation over pi_t, with the exact log-partition as baseline."""
    probs = torch.from_numpy(game.probs)

    def one_round(_: int, previous: Tensor, __: Tensor) -> Tensor:
        drawn = previous.exp()
        rates = probs @ drawn
        baseline = log_partition(previous.numpy(), rates.numpy(), eta) / eta
        pairs = tabular.expected_pairs(drawn, probs, rates)
        return tabular.minimise(tabular.sppo(pairs, previous, eta=eta, baseline=baseline), previous, drawn, step=0.5)

    return one_round


def sppo_official(game: Game, eta: float, *, k: int = 5) -> Round:
    """SPPO as the published scripts play it: the best and the worst of K answers of pi_t, `official` win rates among the K."""
    samples = judged(game.logits, k)

    def one_round(_: int, previous: Tensor, __: Tensor) -> Tensor:
        pairs = tabular.best_worst_pairs(previous, samples, k, "official")
        return tabular.minimise(tabular.sppo(pairs, previous, eta=eta), previous, tabular.seen(pairs, previous.exp()), step=0.5)

    return one_round


def sppo_drawn(game: Game, eta: float, *, prompts: int, k: int, seed: int) -> Round:
    """SPPO on what is drawn: K answers for each of so many prompts, win rates among the K, one half as baseline."""
    probs, random = torch.from_numpy(game.probs), torch.Generator().manual_seed(seed)

    def one_round(_: int, previous: Tensor, __: Tensor) -> Tensor:
        drawn = previous.exp()
        pairs = tabular.drawn_pairs(drawn, probs, prompts, k, random)
        scale = tabular.seen(pairs, drawn)
        return tabular.minimise(tabular.sppo(pairs, previous, eta=eta), previous, scale, within=1e-6, most=200)

    return one_round


def inpo(game: Game, eta: float, tau: float) -> Round:
    """INPO in expectation; with `reset_every` in `play` it is COMAL."""
    probs = torch.from_numpy(game.probs)

    def one_round(_: int, previous: Tensor, reference: Tensor) -> Tensor:
        drawn = previous.exp()
        pairs = tabular.expected_pairs(drawn, probs, probs @ drawn)
        return tabular.minimise(tabular.inpo(pairs, previous, reference, eta=eta, tau=tau), previous, drawn)

    return one_round


def inpo_drawn(game: Game, eta: float, tau: float, *, prompts: int, seed: int) -> Round:
    """INPO on two answers drawn for each of so many prompts; the judge's verdict is drawn as well."""
    probs, random = torch.from_numpy(game.probs), torch.Generator().manual_seed(seed)

    def one_round(_: int, previous: Tensor, reference: Tensor) -> Tensor:
        drawn = previous.exp()
        pairs = tabular.drawn_pairs(drawn, probs, prompts, 2, random)
        objective = tabular.inpo(pairs, previous, reference, eta=eta, tau=tau)
        return tabular.minimise(objective, previous, tabular.seen(pairs, drawn), within=1e-6, most=200)

    return one_round


def dpo(game: Game, beta: float) -> Round:
    """Iterative DPO, the reference reset to pi_t each round, in expectation: two answers of pi_t and the judge's verdict."""
    probs = torch.from_numpy(game.probs)

    def one_round(_: int, previous: Tensor, __: Tensor) -> Tensor:
        drawn = previous.exp()
        pairs = tabular.expected_pairs(drawn, probs, drawn)
        return tabular.minimise(tabular.dpo(pairs, previous, beta=beta), previous, drawn, step=2.0)

    return one_round
