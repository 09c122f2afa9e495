import pytest
import torch

from sparring_shared.run_config import InpoConfig, SppoConfig
from sparring_trainer.batches import MicroBatch
from sparring_trainer.objectives import PAIR_METRICS, measure

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
            "chosen_tokens": 3,
            "rejected_tokens": 5,
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
