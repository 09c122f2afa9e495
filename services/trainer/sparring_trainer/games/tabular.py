"""A tabular softmax policy, trained on a game by gradient descent with the very losses of `sparring_trainer.learning.losses`.

log pi is a tensor [n], float64. A training set is either all pairs with their probability (in expectation), or what was drawn.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sparring_trainer.games.samples import Estimator, Judged, chances
from sparring_trainer.learning import losses

Objective = Callable[[Tensor], Tensor]
"""From log pi [n] to the mean loss over a training set."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """B pairs of answers: indices `chosen` and `rejected`, their `weight` (sums to 1) and the estimated win rates, all [B]."""

    chosen: Tensor
    rejected: Tensor
    weight: Tensor
    chosen_win_rate: Tensor
    rejected_win_rate: Tensor

    def mean(self, loss: Tensor) -> Tensor:
        """The mean of a loss per pair [B]."""
        return (self.weight * loss).sum()

    def sides(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Values [n] of the chosen and of the rejected answers."""
        return values[self.chosen], values[self.rejected]

    def margin(self, logprobs: Tensor) -> Tensor:
        """Chosen less rejected [B]."""
        return logprobs[self.chosen] - logprobs[self.rejected]


def expected_pairs(drawn: Tensor, probs: Tensor, rates: Tensor) -> Pairs:
    """All ordered pairs: y and y' independent from `drawn` [n], y the chosen one with P(y beats y'); `rates` [n] for SPPO."""
    n = len(drawn)
    chosen, rejected = torch.arange(n).repeat_interleave(n), torch.arange(n).repeat(n)
    weight = 2 * drawn[chosen] * drawn[rejected] * probs[chosen, rejected]
    return Pairs(chosen, rejected, weight / weight.sum(), rates[chosen], rates[rejected])


def best_worst_pairs(log_policy: Tensor, judged: Judged, k: int, estimator: Estimator) -> Pairs:
    """All samples of K answers from the policy with their chances: the best is the chosen one, the worst the rejected one."""
    told = np.flatnonzero(judged.best >= 0)
    best, worst = judged.best[told], judged.worst[told]
    weight = chances(log_policy.numpy(), k)[told]
    rates = judged.rates[estimator][told]
    row = np.arange(len(told))
    found = (best, worst, weight / weight.sum(), rates[row, best], rates[row, worst])
    return Pairs(*map(torch.from_numpy, found))


def drawn_pairs(policy: Tensor, probs: Tensor, prompts: int, k: int, random: torch.Generator) -> Pairs:
    """A round as it is played: per prompt K answers from the policy, win rates among them, each with the next as a pair.

    Which one of a pair is the chosen one is drawn by its probability (INPO eq. 1).
    """
    answers = torch.multinomial(policy.expand(prompts, -1), k, replacement=True, generator=random)
    rates = probs[answers[:, :, None], answers[:, None, :]].mean(2)
    one, other = answers[:, 0::2].flatten(), answers[:, 1::2].flatten()
    one_rate, other_rate = rates[:, 0::2].flatten(), rates[:, 1::2].flatten()
    won = torch.rand(len(one), generator=random, dtype=probs.dtype) < probs[one, other]
    sides = (torch.where(won, one, other), torch.where(won, other, one))
    weight = torch.full((len(one),), 1 / len(one), dtype=probs.dtype)
    return Pairs(*sides, weight, torch.where(won, one_rate, other_rate), torch.where(won, other_rate, one_rate))


def sppo(pairs: Pairs, previous: Tensor, *, eta: float, baseline: float = 0.5) -> Objective:
    """SPPO's objective (eq. 4.7), or eq. 4.4 with the exact baseline log Z / eta."""

    def objective(logprobs: Tensor) -> Tensor:
        ratios = pairs.sides(logprobs - previous)
        rates = (pairs.chosen_win_rate, pairs.rejected_win_rate)
        return pairs.mean(losses.sppo_loss(*ratios, *rates, eta=eta, baseline=baseline))

    return objective


def rebel(pairs: Pairs, previous: Tensor, *, eta: float) -> Objective:
    """REBEL's objective."""

    def objective(logprobs: Tensor) -> Tensor:
        margins = (pairs.margin(logprobs), pairs.margin(previous))
        return eta**2 * pairs.mean(losses.rebel_loss(*margins, pairs.chosen_win_rate, pairs.rejected_win_rate, eta=eta))

    return objective


def inpo(pairs: Pairs, previous: Tensor, reference: Tensor, *, eta: float, tau: float) -> Objective:
    """INPO's objective (eq. 8)."""

    def objective(logprobs: Tensor) -> Tensor:
        margins = (pairs.margin(logprobs), pairs.margin(reference), pairs.margin(previous))
        return pairs.mean(losses.inpo_loss(*margins, eta=eta, tau=tau))

    return objective


def ipo(pairs: Pairs, reference: Tensor, *, tau: float) -> Objective:
    """IPO's objective."""
    return lambda logprobs: pairs.mean(losses.ipo_loss(pairs.margin(logprobs), pairs.margin(reference), tau=tau))


def mnpo(pairs: Pairs, history: Tensor, *, eta: float) -> Objective:
    """MNPO's objective; `history` is `losses.mixture` of past policies."""
    return lambda logprobs: pairs.mean(losses.mnpo_loss(pairs.margin(logprobs), pairs.margin(history), eta=eta))


def dpo(pairs: Pairs, reference: Tensor, *, beta: float) -> Objective:
    """DPO's objective, divided by beta^2 so that one step size fits all beta."""
    return lambda logprobs: pairs.mean(losses.dpo_loss(pairs.margin(logprobs), pairs.margin(reference), beta=beta)) / beta**2


def minimise(
    objective: Objective, start: Tensor, scale: Tensor, *, step: float = 0.25, within: float = 1e-11, most: int = 2000
) -> Tensor:
    """Gradient descent on the logits from log pi `start` [n]; returns log pi where it stands still.

    Each gradient is divided by how often its answer is seen (`scale` [n]), so rare answers move as fast as frequent ones;
    the minimum is the same. A step that makes the objective larger is taken back and halved.
    """
    logits, scale = start.clone(), scale.clamp(min=1e-300)
    best, kept, direction = float("inf"), logits, torch.zeros_like(logits)
    for _ in range(most):
        logits.requires_grad_()
        value = objective(logits.log_softmax(0))
        if value.item() <= best * (1 + 1e-12):
            best, kept = value.item(), logits.detach()
            direction = torch.autograd.grad(value, logits)[0] / scale
        else:
            step /= 2
        move = step * direction
        logits = (kept - move).log_softmax(0)
        if move.abs().max() < within:
            break
    return kept


def seen(pairs: Pairs, policy: Tensor) -> Tensor:
    """A `scale` [n] for drawn pairs: how often an answer was drawn, or would be on average if that is more."""
    counts = torch.zeros_like(policy)
    for side in (pairs.chosen, pairs.rejected):
        counts.index_add_(0, side, pairs.weight / 2)
    return torch.maximum(counts, policy)
