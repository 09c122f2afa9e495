"""The losses, one value per pair, shape [B].

A *logratio* is log pi - log pi_t of one answer, a *margin* is the log-prob of the chosen less that of the rejected answer
under one policy. Log-probs are sums over the answer's tokens, in nats. pi is the policy in training, pi_t ("previous") the
one that answered, pi_ref ("reference") another fixed policy. SPPO's eta multiplies, INPO's eta divides. Inputs are [B] and
finite, half-precision ones are computed with in fp32; a ValueError names the argument and the value that does not fit.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


class NotFinite(ValueError):
    """A loss was given something that is not a number."""


def sppo_loss(
    chosen_logratio: Tensor,
    rejected_logratio: Tensor,
    chosen_win_rate: Tensor,
    rejected_win_rate: Tensor,
    *,
    eta: float,
    baseline: float | Tensor = 0.5,
) -> Tensor:
    """SPPO (arXiv 2405.00675, eq. 4.7), mean of the two answers: 1/2 sum over y of (logratio(y) - eta (P(y) - baseline))^2.

    Win rates are P(y beats pi_t) in [0, 1], estimated on the K samples; `baseline`, a number or [B], stands for log Z / eta.
    """
    chosen, rejected = _finite(chosen_logratio=chosen_logratio, rejected_logratio=rejected_logratio)
    chosen_rate, rejected_rate = _probabilities(chosen_win_rate=chosen_win_rate, rejected_win_rate=rejected_win_rate)
    _check_positive("eta", eta)
    (base,) = _probabilities(baseline=torch.as_tensor(baseline, dtype=chosen_rate.dtype, device=chosen_rate.device))
    chosen_gap = chosen - eta * (chosen_rate - base)
    rejected_gap = rejected - eta * (rejected_rate - base)
    return (chosen_gap.square() + rejected_gap.square()) / 2


def sppo_pair_loss(chosen_logratio: Tensor, rejected_logratio: Tensor, chosen_beats_rejected: Tensor, *, eta: float) -> Tensor:
    """SPPO of one comparison (arXiv 2405.00675, eq. 4.12): `sppo_loss` with win rates p and 1 - p.

    p is P(chosen beats rejected) in [0, 1]; 1 is the hard form, half of what TRL calls sppo_hard.
    """
    (p,) = _probabilities(chosen_beats_rejected=chosen_beats_rejected)
    return sppo_loss(chosen_logratio, rejected_logratio, p, 1 - p, eta=eta)


def inpo_loss(policy_margin: Tensor, reference_margin: Tensor, previous_margin: Tensor, *, eta: float, tau: float) -> Tensor:
    """INPO (arXiv 2407.00617, eq. 8): (h - 1 / (2 eta))^2 with h as in `inpo_margin`; eta > 0 and 0 <= tau <= eta."""
    return (inpo_margin(policy_margin, reference_margin, previous_margin, eta=eta, tau=tau) - 1 / (2 * eta)).square()


def inpo_margin(policy_margin: Tensor, reference_margin: Tensor, previous_margin: Tensor, *, eta: float, tau: float) -> Tensor:
    """INPO's h (arXiv 2407.00617, eq. 6): D_pi - (tau / eta) D_ref - ((eta - tau) / eta) D_t, shape [B]."""
    policy, reference, previous = _finite(
        policy_margin=policy_margin, reference_margin=reference_margin, previous_margin=previous_margin
    )
    _check_positive("eta", eta)
    if not 0 <= tau <= eta:
        raise ValueError(f"tau must lie between 0 and eta, but tau is {tau} and eta is {eta}")
    return policy - tau / eta * reference - (eta - tau) / eta * previous


def dpo_loss(policy_margin: Tensor, reference_margin: Tensor, *, beta: float) -> Tensor:
    """DPO (arXiv 2305.18290, eq. 7): -log sigmoid(beta (D_pi - D_ref))."""
    policy, reference = _finite(policy_margin=policy_margin, reference_margin=reference_margin)
    _check_positive("beta", beta)
    return -logsigmoid(beta * (policy - reference))


def ipo_loss(policy_margin: Tensor, reference_margin: Tensor, *, tau: float) -> Tensor:
    """IPO (arXiv 2310.12036, eq. 17): (D_pi - D_ref - 1 / (2 tau))^2. On sums; TRL's IPO takes means over the tokens."""
    policy, reference = _finite(policy_margin=policy_margin, reference_margin=reference_margin)
    _check_positive("tau", tau)
    return (policy - reference - 1 / (2 * tau)).square()


def kto_pair_loss(
    chosen_logratio: Tensor, rejected_logratio: Tensor, chosen_kl: Tensor, rejected_kl: Tensor, *, beta: float
) -> Tensor:
    """KTO on pairs, mean of the two answers: 1 - sigmoid(beta (A - c_l)) and 1 - sigmoid(beta (c_w - B)).

    A and B are the log-ratios; c_w and c_l estimate the KL by the mean log-ratio of the chosen and of the rejected answers,
    at least 0, without a gradient (arXiv 2402.01306). The trainer takes the pairs of the whole optimizer step; `kto_pair` of
    the SPPO scripts takes the 8 of a device, and lets the gradient through the estimates.
    """
    chosen, rejected = _finite(chosen_logratio=chosen_logratio, rejected_logratio=rejected_logratio)
    chosen_mean, rejected_mean = _finite(chosen_kl=chosen_kl.detach(), rejected_kl=rejected_kl.detach())
    _check_positive("beta", beta)
    chosen_miss = torch.sigmoid(-beta * (chosen - rejected_mean.clamp(min=0)))
    rejected_miss = torch.sigmoid(-beta * (chosen_mean.clamp(min=0) - rejected))
    return (chosen_miss + rejected_miss) / 2


def gpo_loss(
    chosen_logratio: Tensor, rejected_logratio: Tensor, chosen_score: Tensor, rejected_score: Tensor, *, beta: float
) -> Tensor:
    """GPO (arXiv 2410.02197), mean of the two answers: (logratio(y) - s(y) / beta)^2, s the mean judge logit against the K."""
    chosen, rejected = _finite(chosen_logratio=chosen_logratio, rejected_logratio=rejected_logratio)
    chosen_target, rejected_target = _finite(chosen_score=chosen_score, rejected_score=rejected_score)
    _check_positive("beta", beta)
    return ((chosen - chosen_target / beta).square() + (rejected - rejected_target / beta).square()) / 2


def rebel_loss(
    policy_margin: Tensor, previous_margin: Tensor, chosen_win_rate: Tensor, rejected_win_rate: Tensor, *, eta: float
) -> Tensor:
    """REBEL (arXiv 2404.16767): ((D_pi - D_t) / eta - (r_w - r_l))^2; the rewards are the win rates (that choice is ours)."""
    policy, previous = _finite(policy_margin=policy_margin, previous_margin=previous_margin)
    chosen, rejected = _probabilities(chosen_win_rate=chosen_win_rate, rejected_win_rate=rejected_win_rate)
    _check_positive("eta", eta)
    return ((policy - previous) / eta - (chosen - rejected)).square()


def mnpo_loss(policy_margin: Tensor, history_margin: Tensor, *, eta: float) -> Tensor:
    """MNPO (arXiv 2509.23102): (D_pi - sum_j lambda_j D_{t-j} - 1 / (2 eta))^2; `history_margin` is that sum (`mixture`)."""
    policy, history = _finite(policy_margin=policy_margin, history_margin=history_margin)
    _check_positive("eta", eta)
    return (policy - history - 1 / (2 * eta)).square()


def mixture(logprobs: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """sum_j lambda_j log pi_j: the geometric mixture of policies, up to its constant, which no margin sees."""
    if len(logprobs) != len(weights) or min(weights) < 0 or not math.isclose(sum(weights), 1, abs_tol=1e-6):
        raise ValueError(f"weights must be {len(logprobs)} numbers from 0 on that sum to 1, but they are {list(weights)}")
    return torch.stack([weight * logprob for weight, logprob in zip(weights, logprobs, strict=True)]).sum(0)


MOST_WEIGHT = 10.0
"""Where the importance weights of the KL estimates are cut off, so that no single answer outweighs the rest."""


def reverse_kl(logratio: Tensor, reference_logratio: Tensor) -> Tensor:
    """RSPO's regulariser KL(pi || pi_ref) (arXiv 2503.00030) in nats, estimated on answers of pi_t: pi / pi_t log(pi / pi_ref).

    `logratio` is log pi - log pi_t, `reference_logratio` log pi - log pi_ref. Which KL is from the paper's summary; weighing
    the answers of pi_t, and cutting weights off at MOST_WEIGHT (they get no gradient beyond it), is ours.
    """
    ratio, reference = _finite(logratio=logratio, reference_logratio=reference_logratio)
    return ratio.clamp(max=math.log(MOST_WEIGHT)).exp() * reference


def forward_kl(logratio: Tensor, reference_logratio: Tensor) -> Tensor:
    """RSPO's regulariser KL(pi_ref || pi), estimated as `reverse_kl` is: (pi_ref / pi_t) log(pi_ref / pi)."""
    ratio, reference = _finite(logratio=logratio, reference_logratio=reference_logratio)
    weight = (ratio - reference).detach().clamp(max=math.log(MOST_WEIGHT)).exp()
    return -weight * reference


def similarity_gate(win_rate: float, similarity: float, strength: float) -> float:
    """S-SPPO's gate (arXiv 2606.01561): draw a win rate to 1/2 as the two answers say the same.

    From the paper's abstract: an over-confident judge is softened by annealing the win rate toward 1/2 with the similarity of
    the answers. The linear form, 1/2 + (1 - strength similarity)(P - 1/2), is ours; its latent repulsion term is not here.
    """
    for name, value in (("win_rate", win_rate), ("similarity", similarity), ("strength", strength)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must lie between 0 and 1, but it is {value}")
    return 0.5 + (1 - strength * similarity) * (win_rate - 0.5)


def _finite(**values: Tensor) -> list[Tensor]:
    """The values, in fp32 at least. Raises NotFinite for one that is not."""
    for name, value in values.items():
        finite = torch.isfinite(value)
        if not finite.all():
            raise NotFinite(f"{name} must be finite, but it holds {value[~finite].flatten()[0].item()}")
    return [value.to(torch.promote_types(value.dtype, torch.float32)) for value in values.values()]


def _probabilities(**values: Tensor) -> list[Tensor]:
    """The values, in fp32 at least. Raises ValueError for one outside [0, 1]."""
    for name, value in values.items():
        inside = (value >= 0) & (value <= 1)
        if not inside.all():
            raise ValueError(f"{name} must lie between 0 and 1, but it holds {value[~inside].flatten()[0].item()}")
    return [value.to(torch.promote_types(value.dtype, torch.float32)) for value in values.values()]


def _check_positive(name: str, value: float) -> None:
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{name} must be positive and finite, but it is {value}")
