"""The clients: one that blocks, one that is awaited. Both do what `steps` says."""

import asyncio
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import httpx

from sparring_judge.client import steps
from sparring_judge.client.choices import choices, pairs
from sparring_judge.client.conversations import Turns
from sparring_judge.client.steps import Call, Outcome, Retries, Steps, T, Wait
from sparring_shared.errors import SparringError, Unavailable
from sparring_shared.wire.judge import (
    DEADLINE_HEADER,
    CompareItem,
    CompareResult,
    Estimator,
    ItemError,
    JudgeInfo,
    RankItem,
    RankResult,
)

_ANSWER_SECONDS = 600.0


def _options(url: str, token: str | None, timeout: float) -> dict[str, Any]:
    headers = {"content-type": "application/json", DEADLINE_HEADER: str(timeout)}
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    return {"base_url": url, "headers": headers, "timeout": httpx.Timeout(timeout, connect=5.0)}


def _content(call: Call) -> str | None:
    return None if call.body is None else call.body.model_dump_json()


def _silent(url: str, error: Exception) -> SparringError:
    return Unavailable(f"The judge at {url} does not answer ({type(error).__name__}); is it running?")


class Judge:
    """A judge at `url`, e.g. `with Judge("http://localhost:8002") as judge: judge.info()`.

    `token` is the bearer token, if it wants one; `timeout` how many seconds it may take for one request, which holds
    `at_once` items at most. Every method raises Unavailable when the judge does not answer, Busy when it stays busy, else the
    error it answered with.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        timeout: float = _ANSWER_SECONDS,
        at_once: int = 64,
        retries: Retries = Retries(),  # noqa: B008 frozen
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = url
        self.at_once = at_once
        self.retries = retries
        self._http = httpx.Client(**_options(url, token, timeout), transport=transport)

    def rank(self, items: Sequence[RankItem], estimator: Estimator = "pairwise") -> tuple[RankResult | ItemError, ...]:
        """Compare the candidates of each item with each other, item for item."""
        return self._run(steps.rank(items, estimator, self.at_once, self.retries))

    def compare(self, items: Sequence[CompareItem], estimator: Estimator = "pairwise") -> tuple[CompareResult | ItemError, ...]:
        """Compare the two answers of each item, item for item."""
        return self._run(steps.compare(items, estimator, self.at_once, self.retries))

    def info(self) -> JudgeInfo:
        """Which judge it is, and what one request may hold."""
        return self._run(steps.info(self.retries))

    def judge(
        self,
        prompts: Sequence[Turns],
        completions: Sequence[Sequence[Turns]],
        shuffle_order: bool = True,
        return_scores: bool = False,
        temperature: float = 1.0,
    ) -> list[int] | list[float]:
        """Which of two completions is better, as TRL's pairwise judges tell it: 0 the first, 1 the second, -1 not judged.

        With `return_scores` P(the first is better), as TRL's PairRMJudge computes it. `shuffle_order` changes nothing: every
        pair is judged in both orders. Raises InvalidInput unless each prompt has two completions.
        """
        return choices(self.compare(pairs(prompts, completions)), return_scores, temperature)

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def _run(self, wanted: Steps[T]) -> T:
        outcome: Outcome = None
        try:
            while True:
                step = wanted.send(outcome)
                outcome = time.sleep(step.seconds) if isinstance(step, Wait) else self._call(step)
        except StopIteration as end:
            return end.value
        except httpx.TransportError as error:
            raise _silent(self.url, error) from error

    def _call(self, call: Call) -> httpx.Response | httpx.TransportError:
        try:
            return self._http.request(call.method, call.path, content=_content(call))
        except httpx.TransportError as error:
            return error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class AsyncJudge:
    """`Judge` for asyncio, e.g. `async with AsyncJudge("http://localhost:8002") as judge: await judge.info()`."""

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        timeout: float = _ANSWER_SECONDS,
        at_once: int = 64,
        retries: Retries = Retries(),  # noqa: B008 frozen
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.url = url
        self.at_once = at_once
        self.retries = retries
        self._http = httpx.AsyncClient(**_options(url, token, timeout), transport=transport)

    async def rank(self, items: Sequence[RankItem], estimator: Estimator = "pairwise") -> tuple[RankResult | ItemError, ...]:
        """See `Judge.rank`."""
        return await self._run(steps.rank(items, estimator, self.at_once, self.retries))

    async def compare(
        self, items: Sequence[CompareItem], estimator: Estimator = "pairwise"
    ) -> tuple[CompareResult | ItemError, ...]:
        """See `Judge.compare`."""
        return await self._run(steps.compare(items, estimator, self.at_once, self.retries))

    async def info(self) -> JudgeInfo:
        """See `Judge.info`."""
        return await self._run(steps.info(self.retries))

    async def judge(
        self,
        prompts: Sequence[Turns],
        completions: Sequence[Sequence[Turns]],
        shuffle_order: bool = True,
        return_scores: bool = False,
        temperature: float = 1.0,
    ) -> list[int] | list[float]:
        """See `Judge.judge`."""
        return choices(await self.compare(pairs(prompts, completions)), return_scores, temperature)

    async def close(self) -> None:
        """Give the connections back."""
        await self._http.aclose()

    async def _run(self, wanted: Steps[T]) -> T:
        outcome: Outcome = None
        try:
            while True:
                step = wanted.send(outcome)
                outcome = await asyncio.sleep(step.seconds) if isinstance(step, Wait) else await self._call(step)
        except StopIteration as end:
            return end.value
        except httpx.TransportError as error:
            raise _silent(self.url, error) from error

    async def _call(self, call: Call) -> httpx.Response | httpx.TransportError:
        try:
            return await self._http.request(call.method, call.path, content=_content(call))
        except httpx.TransportError as error:
            return error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
