"""DPO, IPO, KTO, GPO, REBEL, MNPO, RSPO's regularisers, S-SPPO's gate, and what holds for all losses."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from sparring_trainer.learning.losses import (
    dpo_loss,
    forward_kl,
    gpo_loss,
    inpo_loss,
    ipo_loss,
    kto_pair_loss,
    mixture,
    mnpo_loss,
    rebel_loss,
    reverse_kl,
    similarity_gate,
    sppo_loss,
    sppo_pair_loss,
)

Loss = Callable[[Tensor, Tensor], Tensor]


def of(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_dpo() -> None:
    assert dpo_loss(of(3, 1), of(1, 1), beta=0.5).tolist() == pytest.approx([-math.log(sigmoid(1)), math.log(2)])


def test_ipo() -> None:
    assert ipo_loss(of(3), of(1.5), tau=0.25).tolist() == pytest.approx([(1.5 - 2) ** 2])


def test_kto_takes_the_kl_of_the_other_half_and_never_less_than_zero() -> None:
    # Mean log-ratios are 2 (chosen) and -1 (rejected, so its KL estimate is 0).
    loss = kto_pair_loss(of(1, 3), of(-4, 2), of(2), of(-1), beta=0.1)
    expected = [((1 - sigmoid(0.1 * a)) + (1 - sigmoid(0.1 * (2 - b)))) / 2 for a, b in [(1, -4), (3, 2)]]
    assert loss.tolist() == pytest.approx(expected)
    chosen = of(1, 3).requires_grad_()
    kto_pair_loss(chosen, of(-4, 2), chosen.mean(), of(-1), beta=0.1).sum().backward()
    assert chosen.grad is not None
    # No gradient through the KL estimate: only -beta sigmoid' / 2 of each answer's own.
    assert chosen.grad.tolist() == pytest.approx([-0.05 * sigmoid(0.1 * a) * sigmoid(-0.1 * a) for a in (1, 3)])


def test_gpo_and_rebel_and_mnpo() -> None:
    assert gpo_loss(of(2), of(-1), of(0.5), of(-0.25), beta=0.1).tolist() == pytest.approx([(3**2 + 1.5**2) / 2])
    assert rebel_loss(of(3), of(1), of(0.8), of(0.3), eta=10).tolist() == pytest.approx([(0.2 - 0.5) ** 2])
    assert mnpo_loss(of(3), of(1.25), eta=0.25).tolist() == pytest.approx([(1.75 - 2) ** 2])


def test_mnpo_of_the_base_and_the_previous_policy_is_inpo() -> None:
    eta, tau, reference, previous = 0.02, 0.005, of(1.5, -2), of(2.5, 1)
    mixed = mixture([reference, previous], [tau / eta, 1 - tau / eta])
    assert mnpo_loss(of(3, 4), mixed, eta=eta).tolist() == pytest.approx(
        inpo_loss(of(3, 4), reference, previous, eta=eta, tau=tau).tolist()
    )


def test_the_regularisers_are_unbiased_estimates_with_the_right_gradient() -> None:
    theta = of(0.3, -0.2, 0.5).requires_grad_()
    previous, reference = of(0.2, 0.3, 0.5).log(), of(0.5, 0.25, 0.25).log()
    for estimate, exact in (
        (reverse_kl, lambda pi: (pi.exp() * (pi - reference)).sum()),
        (forward_kl, lambda pi: (reference.exp() * (reference - pi)).sum()),
    ):
        pi = theta.log_softmax(0)
        mean = (previous.exp() * estimate(pi - previous, pi - reference)).sum()
        assert mean.item() == pytest.approx(exact(pi).item())
        (ours,) = torch.autograd.grad(mean, theta)
        (true,) = torch.autograd.grad(exact(theta.log_softmax(0)), theta)
        assert ours.tolist() == pytest.approx(true.tolist())


def test_one_improbable_answer_does_not_outweigh_the_rest() -> None:
    assert reverse_kl(of(50), of(1)).tolist() == pytest.approx([10])
    assert forward_kl(of(0), of(-50)).tolist() == pytest.approx([500])


def test_the_gate_draws_to_one_half_as_answers_say_the_same() -> None:
    assert [similarity_gate(0.9, s, 1.0) for s in (0.0, 0.5, 1.0)] == pytest.approx([0.9, 0.7, 0.5])
    assert similarity_gate(0.1, 1.0, 0.5) == pytest.approx(0.3)
    with pytest.raises(ValueError, match=r"similarity must lie between 0 and 1, but it is 1\.5"):
        similarity_gate(0.9, 1.5, 1.0)


ALL: dict[str, Loss] = {
    "sppo": lambda w, l: sppo_loss(w, l, of(0.8), of(0.3), eta=50),  # noqa: E741
    "sppo_pair": lambda w, l: sppo_pair_loss(w, l, of(0.9), eta=50),  # noqa: E741
    "inpo": lambda w, l: inpo_loss(w - l, of(1.5), of(0.5), eta=0.05, tau=0.02),  # noqa: E741
    "dpo": lambda w, l: dpo_loss(w - l, of(1.5), beta=0.1),  # noqa: E741
    "ipo": lambda w, l: ipo_loss(w - l, of(1.5), tau=0.05),  # noqa: E741
    "kto": lambda w, l: kto_pair_loss(w, l, w.mean(), l.mean(), beta=0.1),  # noqa: E741
    "gpo": lambda w, l: gpo_loss(w, l, of(0.7), of(-0.7), beta=0.05),  # noqa: E741
    "rebel": lambda w, l: rebel_loss(w - l, of(1.5), of(0.8), of(0.3), eta=50),  # noqa: E741
    "mnpo": lambda w, l: mnpo_loss(w - l, of(1.5), eta=0.05),  # noqa: E741
}
WITH_MARGINS = ("inpo", "dpo", "ipo", "rebel", "mnpo")


@pytest.mark.parametrize("name", ALL)
def test_every_loss_raises_the_chosen_and_lowers_the_rejected(name: str) -> None:
    chosen, rejected = of(0).requires_grad_(), of(0).requires_grad_()
    ALL[name](chosen, rejected).sum().backward()
    assert chosen.grad is not None
    assert rejected.grad is not None
    assert chosen.grad.item() < 0 < rejected.grad.item()


@pytest.mark.parametrize("name", WITH_MARGINS)
def test_losses_of_margins_ignore_a_shift_of_all_logprobs(name: str) -> None:
    assert torch.allclose(ALL[name](of(2), of(-1)), ALL[name](of(2 + 7), of(-1 + 7)), rtol=1e-12)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(("dtype", "within"), [(torch.float32, 1e-5), (torch.bfloat16, 1e-5), (torch.float16, 1e-5)])
def test_narrow_inputs_lose_nothing_but_their_own_digits(name: str, dtype: torch.dtype, within: float) -> None:
    narrow = [torch.tensor([value], dtype=dtype) for value in (2.25, -17.5)]
    loss = ALL[name](*narrow)
    assert loss.dtype in (torch.float32, torch.float64)
    assert loss.item() == pytest.approx(ALL[name](*(value.double() for value in narrow)).item(), rel=within)


def test_bf16_all_the_way_is_computed_in_fp32() -> None:
    narrow = [torch.tensor([value], dtype=torch.bfloat16) for value in (2.3, -17.7, 0.8, 0.3)]
    wide = [value.double() for value in narrow]
    loss = sppo_loss(narrow[0], narrow[1], narrow[2], narrow[3], eta=1000)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(sppo_loss(wide[0], wide[1], wide[2], wide[3], eta=1000).item(), rel=1e-6)


@pytest.mark.parametrize(
    ("loss", "sentence"),
    [
        (lambda: dpo_loss(of(math.nan), of(0), beta=1), "policy_margin must be finite, but it holds nan"),
        (lambda: dpo_loss(of(0), of(0), beta=0), "beta must be positive and finite, but it is 0"),
        (lambda: ipo_loss(of(0), of(math.inf), tau=1), "reference_margin must be finite, but it holds inf"),
        (lambda: ipo_loss(of(0), of(0), tau=-1), "tau must be positive and finite, but it is -1"),
        (lambda: kto_pair_loss(of(0), of(math.nan), of(0), of(0), beta=1), "rejected_logratio must be finite"),
        (lambda: kto_pair_loss(of(0), of(0), of(0), of(0), beta=math.inf), "beta must be positive and finite, but it is inf"),
        (lambda: gpo_loss(of(0), of(0), of(math.nan), of(0), beta=1), "chosen_score must be finite"),
        (lambda: gpo_loss(of(0), of(0), of(0), of(0), beta=0), "beta must be positive"),
        (lambda: rebel_loss(of(0), of(0), of(2), of(0), eta=1), "chosen_win_rate must lie between 0 and 1, but it holds 2"),
        (lambda: rebel_loss(of(0), of(0), of(1), of(0), eta=0), "eta must be positive"),
        (lambda: mnpo_loss(of(0), of(math.nan), eta=1), "history_margin must be finite"),
        (lambda: mnpo_loss(of(0), of(0), eta=0), "eta must be positive"),
        (lambda: mixture([of(0), of(0)], [0.5, 0.6]), r"weights must be 2 numbers from 0 on that sum to 1"),
        (lambda: mixture([of(0)], [0.5, 0.5]), r"weights must be 1 numbers"),
        (lambda: reverse_kl(of(math.nan), of(0)), "logratio must be finite"),
        (lambda: forward_kl(of(0), of(math.inf)), "reference_logratio must be finite"),
    ],
)
def test_a_value_out_of_range_is_named(loss: Callable[[], Tensor], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        loss()
