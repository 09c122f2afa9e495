import math

import pytest

from sparring_shared.errors import Diverged, InvalidInput
from sparring_trainer.learning.divergence import check_finite


def test_numbers_are_no_divergence() -> None:
    check_finite("step 1", {"loss": 1e30, "grad_norm": 0.0}, {})


def test_the_sentence_names_step_loss_and_gradient_norm_and_what_to_change() -> None:
    with pytest.raises(Diverged) as caught:
        check_finite("step 7", {"loss": math.inf, "grad_norm": math.nan, "kl": 1.0}, {"loss": 81.25, "grad_norm": 40000.0})
    assert caught.value.message == (
        "The training diverged: at step 7 loss is inf, grad_norm is nan (the step before: loss 81.25, grad_norm 4e+04); "
        "lower training.learning_rate or training.max_grad_norm, or raise training.warmup_ratio."
    )
    assert isinstance(caught.value, InvalidInput)
    assert caught.value.type == "diverged"
