"""A task as work: units that an engine gives values to, and the matrix that their values come to.

What lies between requests and engines (queue, cache, batches) is the same for all engines: it knows units,
and nothing of models.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import TypeAlias

import numpy as np

from sparring_judge.tasks.task import Game
from sparring_shared.errors import Broken, SparringError
from sparring_shared.preference import Floats
from sparring_shared.records import JudgeRef

Value: TypeAlias = float | SparringError
"""What a unit came to: a number, or what went wrong with this unit alone."""


@dataclass(frozen=True)
class Limits:
    """Longest source and candidate in tokens, tag and separators included; a short source leaves room to candidates."""

    source_max_tokens: int
    candidate_max_tokens: int


@dataclass(frozen=True)
class Unit:
    """The smallest piece of work, computed once however often it is asked for.

    `key` [16 bytes] is a digest of the judge and of all that the value depends on, see `unit_key`; `tokens` is what it costs;
    `content` is the engine's own. One with `company`, keys that its own is one of, is computed with these and no others, so
    that its value is the same to the bit whatever else there is to compute.
    """

    key: bytes
    tokens: int
    content: object = field(compare=False, repr=False)
    company: tuple[bytes, ...] = field(default=(), compare=False, repr=False)


Term: TypeAlias = tuple[float, int]
"""(weight, index of a unit)."""


@dataclass(frozen=True)
class Reading:
    """How much of a task's texts the judge reads: token counts before any cut, and which texts are cut.

    Example: `Reading(prompt_tokens=4, prompt_truncated=False, tokens=(2, 900), truncated=(False, True))`.
    """

    prompt_tokens: int
    prompt_truncated: bool
    tokens: tuple[int, ...]
    truncated: tuple[bool, ...]


@dataclass(frozen=True)
class Plan:
    """A task as work: distinct `units`, and each game's logit as a weighted sum of their values.

    Example: a judge of pairs plays the game (0, 1) as `{(0, 1): ((1.0, 0),)}`; one that rewards single answers as
    `{(0, 1): ((1.0, 0), (-1.0, 1))}`.
    """

    units: tuple[Unit, ...]
    games: Mapping[Game, tuple[Term, ...]]
    reading: Reading


def by_itself(plan: Plan) -> Plan:
    """The same plan with units that are computed together and with no others; their values have keys of their own."""
    whole = blake2b(b"".join(unit.key for unit in plan.units), digest_size=16).digest()
    keys = tuple(blake2b(unit.key, digest_size=16, key=whole).digest() for unit in plan.units)
    return replace(plan, units=tuple(replace(unit, key=key, company=keys) for unit, key in zip(plan.units, keys, strict=True)))


@dataclass(frozen=True)
class Judgement:
    """What a judge says of one task.

    `logits` [K, K]: C[i, j] > 0 when i, shown first, is better; diagonal 0, NaN where not asked. `units` were needed, of which
    `cache_hits` had been computed for an earlier request; the others cost `new_tokens`.
    """

    logits: Floats
    reading: Reading
    units: int
    cache_hits: int = 0
    new_tokens: int = 0


def unit_key(ref: JudgeRef, *parts: str | Sequence[int]) -> bytes:
    """Digest of a judge's engine, name and revision and of what it reads, texts or token ids; each part is delimited."""
    digest = blake2b(f"{ref.engine}\0{ref.name}\0{ref.revision}\0".encode(), digest_size=16)
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else np.asarray(part, np.int64).tobytes()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.digest()


def judgement(plan: Plan, values: Sequence[Value], known: Sequence[bool] = ()) -> Judgement | SparringError:
    """Put the values of a plan's units back into the matrix of its task, or say what failed; `known` were computed before."""
    numbers = [value for value in values if isinstance(value, float)]
    if len(numbers) < len(values):
        return next(value for value in values if isinstance(value, SparringError))
    if not all(map(math.isfinite, numbers)):
        return Broken(
            "The judge gave a logit that is not finite: the weights are damaged, or overflow in fp16; set a wider precision."
        )
    count = len(plan.reading.tokens)
    logits = np.full((count, count), np.nan)
    np.fill_diagonal(logits, 0.0)
    for game, terms in plan.games.items():
        logits[game] = sum(weight * numbers[at] for weight, at in terms)
    spared = sum(unit.tokens for unit, before in zip(plan.units, known, strict=False) if before)
    return Judgement(logits, plan.reading, len(plan.units), sum(known), sum(unit.tokens for unit in plan.units) - spared)
