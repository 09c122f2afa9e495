"""What a client does, without I/O: coroutines that yield calls and waits, for a client that blocks and one that awaits."""

import itertools
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import httpx
from pydantic import BaseModel

from sparring_shared.client import raise_for_error
from sparring_shared.wire.judge import (
    CompareItem,
    CompareRequest,
    CompareResponse,
    CompareResult,
    Estimator,
    ItemError,
    JudgeInfo,
    RankItem,
    RankRequest,
    RankResponse,
    RankResult,
)

T = TypeVar("T")


@dataclass(frozen=True)
class Call:
    """A request to send, e.g. `Call("GET", "/v1/judge")`."""

    method: str
    path: str
    body: BaseModel | None = None


@dataclass(frozen=True)
class Wait:
    """A pause before the next try, in seconds."""

    seconds: float


Outcome: TypeAlias = httpx.Response | httpx.TransportError | None
"""What a call came to; nothing for a wait."""

Steps: TypeAlias = Generator[Call | Wait, Outcome, T]


@dataclass(frozen=True)
class Retries:
    """A busy judge (429), one that is not ready (503) or does not answer is asked `tries` times.

    The pause is what the judge asks for in Retry-After, else half a second, doubled each time; `longest` seconds at most.
    """

    tries: int = 6
    longest: float = 30.0

    def wait(self, tried: int, outcome: Outcome) -> Wait | None:
        """The pause after so many tries, None if there is to be no further one."""
        asked_for = None
        if isinstance(outcome, httpx.Response):
            if outcome.status_code not in (429, 503):
                return None
            asked_for = outcome.headers.get("retry-after", "")
        if tried >= self.tries:
            return None
        seconds = float(asked_for) if asked_for and asked_for.isdecimal() else 0.5 * 2 ** (tried - 1)
        return Wait(min(seconds, self.longest))


def send(call: Call, retries: Retries) -> Steps[bytes]:
    """Send a call until it is answered. Raises httpx.TransportError, or the SparringError that the answer describes."""
    for tried in itertools.count(1):
        outcome = yield call
        wait = retries.wait(tried, outcome)
        if wait is not None:
            yield wait
        elif isinstance(outcome, httpx.Response):
            raise_for_error(outcome)
            return outcome.content
        elif outcome is not None:
            raise outcome
    raise AssertionError("unreachable")


def rank(
    items: Sequence[RankItem], estimator: Estimator, at_once: int, retries: Retries
) -> Steps[tuple[RankResult | ItemError, ...]]:
    """Rank the items, so many with one request."""
    found: list[RankResult | ItemError] = []
    for start in range(0, len(items), at_once):
        request = RankRequest(items=tuple(items[start : start + at_once]), estimator=estimator)
        content = yield from send(Call("POST", "/v1/rank", request), retries)
        found += RankResponse.model_validate_json(content).items
    return tuple(found)


def compare(
    items: Sequence[CompareItem], estimator: Estimator, at_once: int, retries: Retries
) -> Steps[tuple[CompareResult | ItemError, ...]]:
    """Compare the items, so many with one request."""
    found: list[CompareResult | ItemError] = []
    for start in range(0, len(items), at_once):
        request = CompareRequest(items=tuple(items[start : start + at_once]), estimator=estimator)
        content = yield from send(Call("POST", "/v1/compare", request), retries)
        found += CompareResponse.model_validate_json(content).items
    return tuple(found)


def info(retries: Retries) -> Steps[JudgeInfo]:
    """Which judge it is."""
    return JudgeInfo.model_validate_json((yield from send(Call("GET", "/v1/judge"), retries)))
