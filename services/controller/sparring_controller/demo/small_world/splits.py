"""Which prompts serve what: a stable hash of the prompt's text puts it in one split, whatever the seed."""

import hashlib
import random
from collections.abc import Iterator
from enum import StrEnum
from typing import Final

from .drawing import draw
from .questions import Task

_MAX_REPEATS: Final = 20_000


class Split(StrEnum):
    """A part of the world's prompts. The parts share words and facts, but no prompt."""

    MODELS = "models"
    """To train the demo's policy and judge."""
    SELFPLAY = "selfplay"
    """For runs."""
    HELD_OUT = "held_out"
    """To measure the models; nothing is trained on them."""


def split_of(prompt: str) -> Split:
    """The split of a prompt: half for the models, two fifths for self-play, one tenth held out."""
    place = int.from_bytes(hashlib.sha256(prompt.encode()).digest()[:4]) % 10
    return Split.MODELS if place < 5 else Split.SELFPLAY if place < 9 else Split.HELD_OUT


def prompts(split: Split | str, count: int, seed: int) -> Iterator[str]:
    """`count` distinct prompts of a split, in the same order for the same seed.

    Every task is as likely as long as it has prompts left. Raises ValueError when the split seems to have too few.
    """
    wanted, rng, tasks = Split(split), random.Random(seed), tuple(Task)
    seen: set[str] = set()
    repeats = 0
    while len(seen) < count:
        prompt = draw(rng.choice(tasks), rng).prompt
        if prompt in seen or split_of(prompt) is not wanted:
            repeats += 1
            if repeats > _MAX_REPEATS:
                raise ValueError(f"the split {wanted} has fewer than {count} prompts")
            continue
        repeats = 0
        seen.add(prompt)
        yield prompt
