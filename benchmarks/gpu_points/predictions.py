"""What was predicted before any line ran on a GPU, with its source: the project's reference notes (`reference/*.md`)."""

from .records import Prediction

PREDICTIONS: tuple[Prediction, ...] = ()
