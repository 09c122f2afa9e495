"""Figures with their uncertainty: pure functions of numbers."""

import math
from collections.abc import Sequence

from sparring_shared.records import Record

_Z95 = 1.959964


class Estimate(Record):
    """A mean in [0, 1] with its 95% interval."""

    value: float
    low: float
    high: float


def estimate(values: Sequence[float]) -> Estimate:
    """The mean of values in [0, 1] with a 95% normal interval, clipped to [0, 1].

    One value alone says nothing of its spread: its interval is all of [0, 1]. Raises ValueError for no values.
    """
    if not values:
        raise ValueError("An estimate needs at least one value.")
    n = len(values)
    mean = math.fsum(values) / n
    if n == 1:
        return Estimate(value=mean, low=0.0, high=1.0)
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    half = _Z95 * math.sqrt(variance / n)
    return Estimate(value=mean, low=max(0.0, mean - half), high=min(1.0, mean + half))


def win(p: float) -> float:
    """A comparison as a game: 1 for a win (p > 0.5), 0 for a loss, 0.5 for a draw."""
    return 0.5 if p == 0.5 else float(p > 0.5)
