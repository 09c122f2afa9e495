import math
from dataclasses import replace

import pytest
import torch

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
from sparring_trainer.learning.batches import MicroBatch
from sparring_trainer.learning.objectives import PAIR_METRICS, kl_sums, measure

# One pair: log pi is -10 and -14, log pi_t -12 and -13, log pi_ref -11 and -12.5; 3 and 5 answer tokens.
BATCH = MicroBatch(
    input_ids=torch.zeros(2, 1, dtype=torch.long),
    starts=torch.tensor([1, 1]),
    lengths=torch.tensor([3, 5]),
    win_rates=torch.tensor([0.8, 0.3]),
    previous=torch.tensor([-12.0, -13.0]),
    reference=torch.tensor([-11.0, -12.5]),
)
LOGPROBS = torch.tensor([-10.0, -14.0])


def test_metrics_of_sppo() -> None:
    measured = measure(SppoConfig(eta=1000), BATCH, LOGPROBS)

    assert measured.loss.tolist() == pytest.approx([64202.5])
    assert dict(zip(PAIR_METRICS, measured.sums.tolist(), strict=True)) == pytest.approx(
        {
            "loss": 64202.5,
            "loss_scaled": 0.0642025,
            "chosen_logratio": 2,
            "rejected_logratio": -1,
            "margin": 4,
            "target_gap": (298 + 199) / 2,
            "kl": -0.5,
        }
    )


def test_metrics_of_inpo() -> None:
    # h = 4 - 1.5 / 3 - 1 * 2 / 3
    h = 4 - 1.5 / 3 - 2 / 3
    measured = measure(InpoConfig(eta=0.005), BATCH, LOGPROBS)
    metrics = dict(zip(PAIR_METRICS, measured.sums.tolist(), strict=True))

    assert measured.loss.tolist() == pytest.approx([(h - 100) ** 2])
    assert metrics["target_gap"] == pytest.approx(100 - h)
    assert metrics["loss_scaled"] == pytest.approx((h - 100) ** 2 * 0.005**2)
    assert (metrics["chosen_logratio"], metrics["rejected_logratio"], metrics["margin"]) == (2, -1, 4)


def test_only_the_loss_keeps_a_gradient() -> None:
    logprobs = LOGPROBS.clone().requires_grad_()
    measured = measure(SppoConfig(eta=10), BATCH, logprobs)

    assert (measured.loss.requires_grad, measured.sums.requires_grad) == (True, False)


def metrics(algorithm: Algorithm) -> dict[str, float]:
    kto_kl = kl_sums(BATCH, LOGPROBS) if isinstance(algorithm, KtoConfig) else None
    return dict(zip(PAIR_METRICS, measure(algorithm, BATCH, LOGPROBS, kto_kl).sums.tolist(), strict=True))


def test_metrics_of_the_methods_of_margins() -> None:
    # D_pi is 4, D_ref 1.5 and D_t 1; over 3 and 5 tokens: -10/3 + 14/5 and -11/3 + 12.5/5.
    assert metrics(IpoConfig(tau=0.05))["loss"] == pytest.approx((4 - 1.5 - 10) ** 2)
    assert metrics(IpoConfig(tau=0.05))["target_gap"] == pytest.approx(7.5)
    assert metrics(MnpoConfig(eta=0.05))["loss"] == pytest.approx((4 - 1.5 - 10) ** 2)
    by_token = (-10 / 3 + 14 / 5) - (-11 / 3 + 12.5 / 5)
    assert metrics(IpoConfig(tau=0.05, logprobs="mean"))["loss"] == pytest.approx((by_token - 10) ** 2)
    assert metrics(MnpoConfig(eta=0.05, logprobs="mean"))["loss"] == pytest.approx((by_token - 10) ** 2)
    assert metrics(DpoConfig(beta=0.4))["loss"] == pytest.approx(math.log(1 + math.exp(-1)))
    assert metrics(DpoConfig(beta=0.4))["target_gap"] == pytest.approx(1 / (1 + math.exp(1)))
    assert metrics(RebelConfig(eta=10))["loss"] == pytest.approx((3 / 10 - 0.5) ** 2)
    assert metrics(RebelConfig(eta=10))["target_gap"] == pytest.approx(2)


def test_metrics_of_the_methods_of_single_answers() -> None:
    # Against the reference the log-ratios are 1 and -1.5, whose KL estimates are 1 and 0.
    kto = (1 / (1 + math.exp(1)) + 1 / (1 + math.exp(1 + 1.5))) / 2
    assert metrics(KtoConfig(beta=1))["loss"] == pytest.approx(kto)
    assert metrics(GpoConfig(beta=0.1))["loss"] == pytest.approx(((2 - 8) ** 2 + (-1 - 3) ** 2) / 2)
    assert metrics(GpoConfig(beta=0.1))["target_gap"] == pytest.approx(5)


def test_a_filler_adds_nothing_to_the_kl_of_a_step() -> None:
    assert kl_sums(BATCH, LOGPROBS).tolist() == [1, -1.5]
    assert kl_sums(replace(BATCH, weight=0.0), LOGPROBS).tolist() == [0, 0]


def test_rspo_adds_its_regularisers_to_sppo() -> None:
    plain, forward, reverse = (
        metrics(SppoConfig(eta=10, forward_kl=f, reverse_kl=r))["loss"] for f, r in ((0, 0), (1, 0), (0, 1))
    )
    # Weights pi_ref / pi_t are e and e^0.5; pi / pi_t are e^2 and e^-1.
    assert forward - plain == pytest.approx((math.e * -1 + math.e**0.5 * 1.5) / 2, rel=1e-4)
    assert reverse - plain == pytest.approx((math.e**2 * 1 + math.e**-1 * -1.5) / 2, rel=1e-4)
