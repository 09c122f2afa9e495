"""Draws questions at random."""

import random
from collections.abc import Callable
from typing import Final

from .questions import WORDINGS, Question, Task
from .words import EXTREMES, KIND_OF, KINDS, NUMBERS


def draw(task: Task, rng: random.Random) -> Question:
    """A random well-formed question of a task."""
    kind, items = _DRAWERS[task](rng)
    return Question(task, rng.randrange(len(WORDINGS[task])), kind, items)


def _one_among(kind: str, inside: int, outside: int, rng: random.Random) -> tuple[str, ...]:
    """Words of a kind and words of other kinds, shuffled together."""
    others = [word for word in KIND_OF if KIND_OF[word] != kind]
    items = rng.sample(KINDS[kind], inside) + rng.sample(others, outside)
    rng.shuffle(items)
    return tuple(items)


def _draw_choose(rng: random.Random) -> tuple[str, tuple[str, ...]]:
    kind = rng.choice(list(KINDS))
    return kind, _one_among(kind, 1, rng.choice((1, 2)), rng)


def _draw_odd(rng: random.Random) -> tuple[str, tuple[str, ...]]:
    kind = rng.choice(list(KINDS))
    return kind, _one_among(kind, 2, 1, rng)


def _draw_describe(rng: random.Random) -> tuple[str, tuple[str, ...]]:
    return "", (rng.choice(list(KIND_OF)),)


def _draw_yes_no(rng: random.Random) -> tuple[str, tuple[str, ...]]:
    # Half of the questions are to be answered with yes, so that always saying no does not pay.
    word = rng.choice(list(KIND_OF))
    others = [kind for kind in KINDS if kind != KIND_OF[word]]
    return KIND_OF[word] if rng.random() < 0.5 else rng.choice(others), (word,)


def _draw_name(rng: random.Random) -> tuple[str, tuple[str, ...]]:
    kind = rng.choice(list(KINDS))
    return kind, tuple(rng.sample(KINDS[kind], rng.choice((1, 2))))


def _draw_number(rng: random.Random) -> tuple[str, tuple[str, ...]]:
    return rng.choice(EXTREMES), tuple(rng.sample(NUMBERS, rng.choice((2, 3))))


_DRAWERS: Final[dict[Task, Callable[[random.Random], tuple[str, tuple[str, ...]]]]] = {
    Task.CHOOSE: _draw_choose,
    Task.ODD: _draw_odd,
    Task.DESCRIBE: _draw_describe,
    Task.YES_NO: _draw_yes_no,
    Task.NAME: _draw_name,
    Task.NUMBER: _draw_number,
}
