"""From a run config's algorithm to a loss, and to the figures that say how training goes."""

from dataclasses import dataclass

import torch
from torch import Tensor

from sparring_shared.run_config import InpoConfig, SppoConfig
from sparring_trainer.batches import MicroBatch
from sparring_trainer.losses import inpo_loss, inpo_margin, sppo_loss

PAIR_METRICS = (
    "loss",
    "loss_scaled",
    "chosen_logratio",
    "rejected_logratio",
    "margin",
    "target_gap",
    "kl",
    "chosen_tokens",
    "rejected_tokens",
)


@dataclass(frozen=True, slots=True)
class Measured:
    """`loss` [P] keeps its gradient; `sums` [len(PAIR_METRICS)] are the metrics summed over the P pairs, without one."""

    loss: Tensor
    sums: Tensor


def measure(algorithm: SppoConfig | InpoConfig, batch: MicroBatch, logprobs: Tensor) -> Measured:
    """Loss and metrics of P pairs, given log pi of their 2P answers.

    `*_logratio`: log pi - log pi_t in nats. `margin`: log pi(chosen) - log pi(rejected). `target_gap`: mean distance of what
    is regressed (a log-ratio in SPPO, h in INPO) from its target. `loss_scaled`: the loss in units that do not depend on
    eta (loss / eta^2 for SPPO, loss * eta^2 for INPO). `kl`: the k1 estimate of KL(pi_t || pi), the mean of log pi_t - log pi
    over both answers; they are pi_t's samples but not random ones, so it is biased and may be negative.
    """
    chosen, rejected = logprobs.chunk(2)
    chosen_ratio, rejected_ratio = (logprobs - batch.previous).chunk(2)
    chosen_rate, rejected_rate = batch.win_rates.chunk(2)
    match algorithm:
        case SppoConfig(eta=eta, baseline=baseline):
            loss = sppo_loss(chosen_ratio, rejected_ratio, chosen_rate, rejected_rate, eta=eta, baseline=baseline)
            target = eta * (batch.win_rates - baseline)
            gap = (target - (logprobs - batch.previous)).abs().view(2, -1).mean(0)
            scaled = loss / eta**2
        case InpoConfig(eta=eta, tau_value=tau):
            margins = (chosen - rejected, _margin(batch.reference), _margin(batch.previous))
            loss = inpo_loss(*margins, eta=eta, tau=tau)
            gap = (1 / (2 * eta) - inpo_margin(*margins, eta=eta, tau=tau)).abs()
            scaled = loss * eta**2
    kl = -(chosen_ratio + rejected_ratio) / 2
    chosen_tokens, rejected_tokens = batch.lengths.to(loss.dtype).chunk(2)
    columns = (loss, scaled, chosen_ratio, rejected_ratio, chosen - rejected, gap, kl, chosen_tokens, rejected_tokens)
    return Measured(loss, torch.stack(columns).detach().sum(1))


def _margin(logprobs: Tensor) -> Tensor:
    chosen, rejected = logprobs.chunk(2)
    return chosen - rejected
