"""The versions of a stored run config: what an older Sparring stored is read as this one would have stored it."""

from collections.abc import Callable, Sequence
from typing import Any

from sparring_shared.errors import InvalidInput

Config = dict[str, Any]
Upgrade = Callable[[Config], Config]

UPGRADES: tuple[Upgrade, ...] = ()
"""The n-th turns a config of version n into one of version n + 1. A key that goes, or that means something else than before,
needs one; a new key that has a default needs none."""


def newest(upgrades: Sequence[Upgrade] = UPGRADES) -> int:
    """The version in which configs are stored."""
    return len(upgrades) + 1


def upgraded(config: Config, version: int, upgrades: Sequence[Upgrade] = UPGRADES) -> Config:
    """A config of that version as one of the newest. Raises InvalidInput for one of a newer Sparring."""
    if version > newest(upgrades):
        raise InvalidInput(f"its config is of version {version}, and this Sparring knows those up to {newest(upgrades)}.")
    for upgrade in upgrades[version - 1 :]:
        config = upgrade(config)
    return config
