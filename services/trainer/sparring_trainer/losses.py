"""The losses, one value per pair, shape [B].

A *logratio* is log pi - log pi_t of one answer, a *margin* is the log-prob of the chosen less that of the rejected answer
under one policy. Log-probs are sums over the answer's tokens, in nats. pi is the policy in training, pi_t ("previous") the
one that answered, pi_ref ("reference") the fixed base. SPPO's eta multiplies, INPO's eta divides.
"""

import math

import torch
from torch import Tensor


def sppo_loss(
    chosen_logratio: Tensor,
    rejected_logratio: Tensor,
    chosen_win_rate: Tensor,
    rejected_win_rate: Tensor,
    *,
    eta: float,
    baseline: float = 0.5,
) -> Tensor:
    """SPPO (arXiv 2405.00675, eq. 4.7), mean of the two answers: 1/2 sum over y of (logratio(y) - eta (P(y) - baseline))^2.

    Inputs are [B], and so is the result. Win rates are P(y beats pi_t) in [0, 1], estimated on the K samples;
    `baseline` stands for log Z / eta. Raises ValueError for what is not finite or out of range.
    """
    _check_finite(chosen_logratio=chosen_logratio, rejected_logratio=rejected_logratio)
    _check_probabilities(chosen_win_rate=chosen_win_rate, rejected_win_rate=rejected_win_rate)
    _check_positive("eta", eta)
    _check_probabilities(baseline=torch.tensor(baseline))
    chosen_gap = chosen_logratio - eta * (chosen_win_rate - baseline)
    rejected_gap = rejected_logratio - eta * (rejected_win_rate - baseline)
    return (chosen_gap.square() + rejected_gap.square()) / 2


def sppo_pair_loss(chosen_logratio: Tensor, rejected_logratio: Tensor, chosen_beats_rejected: Tensor, *, eta: float) -> Tensor:
    """SPPO of one comparison (arXiv 2405.00675, eq. 4.12): `sppo_loss` with win rates p and 1 - p.

    Inputs are [B], and so is the result; p is P(chosen beats rejected) in [0, 1]. Raises ValueError as `sppo_loss` does.
    """
    _check_probabilities(chosen_beats_rejected=chosen_beats_rejected)
    return sppo_loss(chosen_logratio, rejected_logratio, chosen_beats_rejected, 1 - chosen_beats_rejected, eta=eta)


def inpo_loss(policy_margin: Tensor, reference_margin: Tensor, previous_margin: Tensor, *, eta: float, tau: float) -> Tensor:
    """INPO (arXiv 2407.00617, eq. 8): (h - 1 / (2 eta))^2 with h as in `inpo_margin`.

    Inputs are [B], and so is the result. Raises ValueError for what is not finite, unless eta > 0 and 0 <= tau <= eta.
    """
    return (inpo_margin(policy_margin, reference_margin, previous_margin, eta=eta, tau=tau) - 1 / (2 * eta)).square()


def inpo_margin(policy_margin: Tensor, reference_margin: Tensor, previous_margin: Tensor, *, eta: float, tau: float) -> Tensor:
    """INPO's h (arXiv 2407.00617, eq. 6): D_pi - (tau / eta) D_ref - ((eta - tau) / eta) D_t, shape [B]."""
    _check_finite(policy_margin=policy_margin, reference_margin=reference_margin, previous_margin=previous_margin)
    _check_positive("eta", eta)
    if not 0 <= tau <= eta:
        raise ValueError(f"tau must lie between 0 and eta, but tau is {tau} and eta is {eta}")
    return policy_margin - tau / eta * reference_margin - (eta - tau) / eta * previous_margin


def _check_finite(**values: Tensor) -> None:
    for name, value in values.items():
        finite = torch.isfinite(value)
        if not finite.all():
            raise ValueError(f"{name} must be finite, but it holds {value[~finite].flatten()[0].item()}")


def _check_probabilities(**values: Tensor) -> None:
    for name, value in values.items():
        inside = (value >= 0) & (value <= 1)
        if not inside.all():
            raise ValueError(f"{name} must lie between 0 and 1, but it holds {value[~inside].flatten()[0].item()}")


def _check_positive(name: str, value: float) -> None:
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{name} must be positive and finite, but it is {value}")
