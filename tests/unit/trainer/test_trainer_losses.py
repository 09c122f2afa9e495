from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from sparring_trainer.learning.losses import inpo_loss, inpo_margin, sppo_loss, sppo_pair_loss


def of(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_sppo_regresses_both_logratios_on_their_win_rates() -> None:
    loss = sppo_loss(of(2, 0), of(-1, 0), of(0.8, 0.8), of(0.3, 0.3), eta=1000)

    assert loss.tolist() == pytest.approx([(298**2 + 199**2) / 2, 65000])
    assert loss.shape == (2,)


def test_sppo_pair_regresses_on_plus_and_minus_the_one_probability() -> None:
    assert sppo_pair_loss(of(2), of(-1), of(0.9), eta=1000).tolist() == pytest.approx([158802.5])
    # The hard form, p = 1, is half of what TRL calls sppo_hard.
    assert sppo_pair_loss(of(2), of(-1), of(1), eta=1000).tolist() == pytest.approx([497005 / 2])


def test_sppo_baseline_moves_both_targets() -> None:
    assert sppo_loss(of(0), of(0), of(0.8), of(0.3), eta=10, baseline=0.3).tolist() == pytest.approx([12.5])


def test_inpo_regresses_the_anchored_margin_on_half_of_one_over_eta() -> None:
    assert inpo_margin(of(3), of(1.5), of(2.4), eta=0.005, tau=0.005 / 3).tolist() == pytest.approx([0.9])
    assert inpo_loss(of(3), of(1.5), of(2.4), eta=0.005, tau=0.005 / 3).tolist() == pytest.approx([9820.81])
    assert inpo_loss(of(7), of(7), of(7), eta=0.005, tau=0.001).tolist() == pytest.approx([10000])


def test_inpo_of_the_first_round_is_ipo_on_sums() -> None:
    policy, reference = of(3.5, -2), of(1.25, 4)

    loss = inpo_loss(policy, reference, reference, eta=0.02, tau=0.015)

    assert loss.tolist() == pytest.approx(((policy - reference) - 1 / (2 * 0.02)).square().tolist())


def test_inpo_margin_is_antisymmetric_and_ignores_a_shift_of_one_prompt() -> None:
    (pi, ref, t), (pi_l, ref_l, t_l) = (of(-3), of(-4), of(-5)), (of(-6), of(-2), of(-1))
    forth = inpo_margin(pi - pi_l, ref - ref_l, t - t_l, eta=0.1, tau=0.04)
    back = inpo_margin(pi_l - pi, ref_l - ref, t_l - t, eta=0.1, tau=0.04)
    shifted = inpo_margin(pi + 9 - (pi_l + 9), ref - ref_l, t - t_l, eta=0.1, tau=0.04)

    assert forth.tolist() == pytest.approx((-back).tolist())
    assert forth.tolist() == pytest.approx(shifted.tolist())


def test_inpo_without_tau_does_not_look_at_the_reference() -> None:
    assert torch.equal(inpo_loss(of(1), of(50), of(2), eta=0.1, tau=0), inpo_loss(of(1), of(-50), of(2), eta=0.1, tau=0))


@pytest.mark.parametrize(("win_rate", "goes_up"), [(0.8, True), (0.2, False)])
def test_sppo_raises_an_answer_iff_it_wins_more_than_half(win_rate: float, goes_up: bool) -> None:
    logratio = of(0).requires_grad_()

    sppo_loss(logratio, of(0), of(win_rate), of(0.5), eta=100).sum().backward()

    assert logratio.grad is not None
    assert (-logratio.grad.item() > 0) is goes_up
    assert logratio.grad.item() == pytest.approx(-100 * (win_rate - 0.5))


def test_inpo_raises_the_margin_until_its_target() -> None:
    margin = of(0, 60).requires_grad_()

    inpo_loss(margin, of(0, 0), of(0, 0), eta=0.01, tau=0).sum().backward()

    assert margin.grad is not None
    assert margin.grad.tolist() == pytest.approx([-100, 20])


@pytest.mark.parametrize(
    ("loss", "sentence"),
    [
        (lambda: sppo_loss(of(float("nan")), of(0), of(1), of(0), eta=1), "chosen_logratio must be finite, but it holds nan"),
        (lambda: sppo_loss(of(0), of(0), of(1), of(-0.5), eta=1), "rejected_win_rate .* between 0 and 1, .* -0.5"),
        (lambda: sppo_loss(of(0), of(0), of(float("nan")), of(0), eta=1), "chosen_win_rate .* between 0 and 1, .* nan"),
        (lambda: sppo_loss(of(0), of(0), of(1), of(0), eta=0), "eta must be positive and finite, but it is 0"),
        (lambda: sppo_loss(of(0), of(0), of(1), of(0), eta=1, baseline=2), "baseline .* between 0 and 1, .* 2"),
        (lambda: sppo_pair_loss(of(0), of(0), of(1.5), eta=1), "chosen_beats_rejected .* 1.5"),
        (lambda: inpo_loss(of(0), of(float("inf")), of(0), eta=1, tau=0), "reference_margin must be finite, .* inf"),
        (lambda: inpo_loss(of(0), of(0), of(0), eta=-1, tau=0), "eta must be positive and finite, but it is -1"),
        (lambda: inpo_loss(of(0), of(0), of(0), eta=1, tau=2), "tau is 2 and eta is 1"),
    ],
)
def test_a_value_out_of_range_is_named(loss: Callable[[], Tensor], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        loss()
