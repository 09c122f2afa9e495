"""What a chat model's answer says about A and B, as a logit: positive when A is better.

The verdict is the letter that the answer begins with; in an answer that reasons first, the last letter that stands alone.
Log-probs of that place are used if there are any, else the letter itself.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

SURE = math.log(9)
"""Logit of a verdict without log-probs: P = 0.9."""
BOUND = 20.0
"""Largest logit that log-probs give."""

_LETTER = re.compile(r"\W*([AB])\W*")
_AT_START = re.compile(r"[\W_]*([AB])\b")
_ALONE = re.compile(r"\b(A|B|[Tt]ie|TIE)\b")

Likely: TypeAlias = Sequence[tuple[str, float]]
"""(token, log-prob) of the likeliest tokens of one place."""


@dataclass(frozen=True)
class Place:
    """One token of an answer, and what might have stood there instead."""

    token: str
    likely: Likely


def logit(text: str, places: Sequence[Place]) -> float:
    """The verdict of an answer, 0 where it has none; `places` is empty where the endpoint offers no log-probs."""
    letters = [at for at, place in enumerate(places) if letter(place.token)]
    verdict = 0 if not letters or letters[0] == 0 else letters[-1]
    found = contrast(places[verdict].likely) if places else None
    return _in_words(text) if found is None else found


def letter(token: str) -> str | None:
    """`A` or `B` if that is all a token says, e.g. `" A"` and `"**A"`."""
    found = _LETTER.fullmatch(token)
    return found[1] if found else None


def contrast(likely: Likely) -> float | None:
    """log P(A) - log P(B) over all tokens that read as one of them, None if there are none.

    A letter that is not among the likely tokens is taken to be as likely as the last of them, which is the most it can be.
    """
    a, b = ([logprob for token, logprob in likely if letter(token) == wanted] for wanted in "AB")
    if not a and not b:
        return None
    least = min(logprob for _, logprob in likely)
    difference = _log_sum(a or [least]) - _log_sum(b or [least])
    return max(-BOUND, min(BOUND, difference))


def _log_sum(logprobs: Sequence[float]) -> float:
    largest = max(logprobs)
    return largest + math.log(sum(math.exp(one - largest) for one in logprobs))


def _in_words(text: str) -> float:
    at_start = _AT_START.match(text)
    alone = _ALONE.findall(text)
    verdict = at_start[1] if at_start else alone[-1] if alone else ""
    return {"A": SURE, "B": -SURE}.get(verdict, 0.0)
