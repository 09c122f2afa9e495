"""Where a trainer is told to train."""

from typing import Literal, TypeAlias

DeviceName: TypeAlias = Literal["auto", "cpu"]
"""`auto` takes a GPU; see `learning.device`."""
