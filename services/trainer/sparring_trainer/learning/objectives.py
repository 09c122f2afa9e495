"""From a run config's algorithm to a loss, and to the figures that say how training goes."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sparring_shared.algorithms import (
    Algorithm,
    DpoConfig,
    GpoConfig,
    InpoConfig,
    IpoConfig,
    KtoConfig,
    MnpoConfig,
    RebelConfig,
    SppoConfig,
)
from sparring_trainer.learning import losses
from sparring_trainer.learning.batches import MicroBatch

PAIR_METRICS = (
    "loss",
    "loss_scaled",
    "chosen_logratio",
    "rejected_logratio",
    "margin",
    "target_gap",
    "kl",
)


@dataclass(frozen=True, slots=True)
class Measured:
    """`loss` [P] keeps its gradient; `sums` [len(PAIR_METRICS)] are the metrics summed over the P pairs, without one."""

    loss: Tensor
    sums: Tensor


def measure(algorithm: Algorithm, batch: MicroBatch, logprobs: Tensor, kto_kl: Tensor | None = None) -> Measured:
    """Loss and metrics of P pairs, given log pi of their 2P answers; KTO needs its KL estimates [2] of the whole step.

    `*_logratio`: log pi - log pi_t in nats. `margin`: log pi(chosen) - log pi(rejected). `target_gap`: mean distance of what
    is regressed (a log-ratio in SPPO, h in INPO) from its target; for DPO and KTO, which have none, the probability that they
    still give to the wrong order. `loss_scaled`: the loss in units that do not depend on eta, tau or beta (loss / eta^2 for
    SPPO, loss * eta^2 for INPO). `kl`: the k1 estimate of KL(pi_t || pi), the mean of log pi_t - log pi over both answers;
    they are pi_t's samples but not random ones, so it is biased and may be negative.
    """
    chosen, rejected = logprobs.chunk(2)
    chosen_ratio, rejected_ratio = (logprobs - batch.previous).chunk(2)
    loss, gap, scaled = _losses(algorithm, batch, logprobs, kto_kl)
    kl = -(chosen_ratio + rejected_ratio) / 2
    columns = (loss, scaled, chosen_ratio, rejected_ratio, chosen - rejected, gap, kl)
    return Measured(loss, torch.stack(columns).detach().sum(1))


def kl_sums(batch: MicroBatch, logprobs: Tensor) -> Tensor:
    """log pi - log pi_ref of the chosen and of the rejected answers, summed over P pairs [2], a filler as 0.

    Over a whole step and divided by its pairs they are KTO's KL estimates.
    """
    return batch.weight * (logprobs - batch.reference).view(2, -1).sum(1)


def _losses(algorithm: Algorithm, batch: MicroBatch, logprobs: Tensor, kto_kl: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Loss, target gap and scaled loss, each [P]."""
    match algorithm:
        case SppoConfig() | GpoConfig():
            return _pointwise(algorithm, batch, logprobs)
        case KtoConfig(beta=beta):
            assert kto_kl is not None
            loss = losses.kto_pair_loss(*(logprobs - batch.reference).chunk(2), *kto_kl.unbind(), beta=beta)
            return loss, loss, loss
    length = batch.lengths if isinstance(algorithm, IpoConfig | MnpoConfig) and algorithm.logprobs == "mean" else 1
    policy, reference, previous = (_margin(each / length) for each in (logprobs, batch.reference, batch.previous))
    match algorithm:
        case InpoConfig(eta=eta, tau_value=tau):
            loss = losses.inpo_loss(policy, reference, previous, eta=eta, tau=tau)
            gap = (1 / (2 * eta) - losses.inpo_margin(policy, reference, previous, eta=eta, tau=tau)).abs()
            return loss, gap, loss * eta**2
        case DpoConfig(beta=beta):
            loss = losses.dpo_loss(policy, reference, beta=beta)
            return loss, -torch.expm1(-loss), loss
        case IpoConfig(tau=tau):
            loss = losses.ipo_loss(policy, reference, tau=tau)
            return loss, loss.sqrt(), loss * tau**2
        case MnpoConfig(eta=eta):
            loss = losses.mnpo_loss(policy, reference, eta=eta)
            return loss, loss.sqrt(), loss * eta**2
        case RebelConfig(eta=eta):
            loss = losses.rebel_loss(policy, previous, *batch.win_rates.chunk(2), eta=eta)
            return loss, loss.sqrt() * eta, loss


def _pointwise(algorithm: SppoConfig | GpoConfig, batch: MicroBatch, logprobs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The methods that regress each answer's own log-ratio."""
    ratios = logprobs - batch.previous
    if isinstance(algorithm, GpoConfig):
        loss = losses.gpo_loss(*ratios.chunk(2), *batch.win_rates.chunk(2), beta=algorithm.beta)
        gap = (batch.win_rates / algorithm.beta - ratios).abs()
        return loss, gap.view(2, -1).mean(0), loss * algorithm.beta**2
    eta, baseline = algorithm.eta, algorithm.baseline
    loss = losses.sppo_loss(*ratios.chunk(2), *batch.win_rates.chunk(2), eta=eta, baseline=baseline)
    gap = (eta * (batch.win_rates - baseline) - ratios).abs()
    if algorithm.regularised:
        against = (ratios, logprobs - batch.reference)
        kl = algorithm.forward_kl * losses.forward_kl(*against) + algorithm.reverse_kl * losses.reverse_kl(*against)
        loss = loss + kl.view(2, -1).mean(0)
    return loss, gap.view(2, -1).mean(0), loss / eta**2


def _margin(logprobs: Tensor) -> Tensor:
    chosen, rejected = logprobs.chunk(2)
    return chosen - rejected
