"""What the network reads: `[CLS] <|source|> s [SEP] [CLS] <|candidate1|> a [SEP] [CLS] <|candidate2|> b [SEP]`.

Pure functions of token ids. The truncation is llm-blender's at batch size 1, which depends on the item alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from sparring_judge.tasks.task import Game
from sparring_judge.tasks.units import Limits, Reading

Ids: TypeAlias = tuple[int, ...]
_FRAME = 3  # [CLS], tag, [SEP] around each text


@dataclass(frozen=True)
class SpecialIds:
    """Ids of the tokens around the texts, e.g. `SpecialIds(cls=1, sep=2, source=2001, candidate1=2002, candidate2=2003)`."""

    cls: int
    sep: int
    source: int
    candidate1: int
    candidate2: int


@dataclass(frozen=True)
class Pass:
    """One forward pass: `ids` [S], and where the tags of source, candidate1 and candidate2 stand in them."""

    ids: Ids
    tags: tuple[int, int, int]


@dataclass(frozen=True)
class TokenisedTask:
    """A task as token ids without frame, already cut: `source`, `candidates` [K], and what was cut."""

    source: Ids
    candidates: tuple[Ids, ...]
    reading: Reading


def cut(source: Ids, candidates: Sequence[Ids], limits: Limits) -> TokenisedTask:
    """Cut the source to its limit and each candidate to its own plus half of what the source leaves unused.

    With llm-blender's limits (1224, 412) a whole pass has 2048 tokens at most.
    """
    kept = source[: limits.source_max_tokens - _FRAME]
    spare = (limits.source_max_tokens - len(kept) - _FRAME) // 2
    room = limits.candidate_max_tokens + spare - _FRAME
    return TokenisedTask(
        source=kept,
        candidates=tuple(candidate[:room] for candidate in candidates),
        reading=Reading(
            prompt_tokens=len(source),
            prompt_truncated=len(source) > len(kept),
            tokens=tuple(map(len, candidates)),
            truncated=tuple(len(candidate) > room for candidate in candidates),
        ),
    )


def lay_out(source: Ids, first: Ids, second: Ids, special: SpecialIds) -> Pass:
    """The pass that shows `first` before `second`."""
    tags = (special.source, special.candidate1, special.candidate2)
    parts = [(special.cls, tag, *text, special.sep) for tag, text in zip(tags, (source, first, second), strict=True)]
    at_first = len(parts[0]) + 1
    return Pass(ids=parts[0] + parts[1] + parts[2], tags=(1, at_first, at_first + len(parts[1])))


def distinct_games(task: TokenisedTask, games: Sequence[Game]) -> dict[Game, Game]:
    """For each game the one with the same token ids that stands for it, so that none is computed twice.

    Example: with candidates x, y, x the game (2, 1) is played as (0, 1).
    """
    first: dict[Ids, int] = {}
    same = [first.setdefault(ids, index) for index, ids in enumerate(task.candidates)]
    played: dict[Game, Game] = {}
    return {(i, j): played.setdefault((same[i], same[j]), (i, j)) for i, j in games}


def padded_length(length: int) -> int:
    """The next of the lengths that are computed: multiples of 8, 16 to each power of two, so at most one part in 16 more.

    Example: 97 -> 104, 300 -> 304, 550 -> 576. The kernels for a length are made when it is first seen and then stay.
    """
    step = max(8, 1 << length.bit_length() >> 5)
    return -(-length // step) * step


def even_groups(lengths: Sequence[int], max_tokens: int) -> list[list[int]]:
    """Indices grouped by length; of each group 1, 2, 4, 8 ... with `max_tokens` tokens at most, or one.

    With powers of two the tokens of a group are as many as a padded length, or a double of one: few sizes to make kernels for.
    Example: `even_groups([16, 8, 8, 8], 100)` is `[[1, 2], [3], [0]]`.
    """
    groups: list[list[int]] = []
    for length in sorted(set(lengths)):
        alike = [index for index, one in enumerate(lengths) if one == length]
        while alike:
            count = 1 << min(len(alike), max(1, max_tokens // length)).bit_length() - 1
            groups.append(alike[:count])
            alike = alike[count:]
    return groups
