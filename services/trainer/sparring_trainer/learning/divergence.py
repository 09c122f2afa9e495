"""A training that diverges: its figures stop being numbers, and it is of no use to do it again."""

import math
from collections.abc import Mapping

from sparring_shared.errors import Diverged


def check_finite(place: str, metrics: Mapping[str, float], before: Mapping[str, float]) -> None:
    """Raises Diverged, as `diverged`, where a metric is not a number any more."""
    wrong = [f"{name} is {value}" for name, value in metrics.items() if not math.isfinite(value)]
    if wrong:
        raise diverged(place, ", ".join(wrong), before)


def diverged(place: str, what: str, before: Mapping[str, float]) -> Diverged:
    """The error that says where (such as `step 7`), `what` is wrong, the figures of the step `before`, and what to change."""
    told = ", ".join(f"{name} {before[name]:.4g}" for name in ("loss", "grad_norm") if name in before)
    return Diverged(
        f"The training diverged: at {place} {what}{told and f' (the step before: {told})'}; lower training.learning_rate or "
        "training.max_grad_norm, or raise training.warmup_ratio."
    )
