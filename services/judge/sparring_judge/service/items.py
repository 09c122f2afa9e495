"""What all routes use to have items judged: limits, deadline, and one answer for each item."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Annotated, TypeAlias

from fastapi import Header

from sparring_judge.queue import metrics
from sparring_judge.queue.background_judge import BackgroundJudge
from sparring_judge.queue.scheduler import Pending
from sparring_judge.service.results import position_bias
from sparring_judge.settings import JudgeSettings
from sparring_judge.tasks.task import Task, game_count, new_task
from sparring_judge.tasks.units import Judgement
from sparring_shared.errors import DeadlinePassed, InvalidInput, SparringError, TooLarge
from sparring_shared.wire.judge import DEADLINE_HEADER, RankItem

Judged: TypeAlias = Judgement | SparringError
Ask: TypeAlias = Callable[[Sequence[RankItem]], Awaitable[list[Judged]]]
"""Items to judgements, or what is wrong with each; raises a SparringError for the request as a whole."""

_wanted: ContextVar[float | None] = ContextVar("wanted", default=None)


async def caller_deadline(seconds: Annotated[float | None, Header(alias=DEADLINE_HEADER, gt=0)] = None) -> None:
    """A route's dependency: remember how long the caller will wait."""
    _wanted.set(seconds)


class ItemJudge:
    """Judges the items of one request; itself an `Ask`."""

    def __init__(self, settings: JudgeSettings, judge: BackgroundJudge) -> None:
        self._settings = settings
        self._judge = judge

    async def __call__(self, items: Sequence[RankItem], *, fresh: bool = False, alone: bool = False) -> list[Judged]:
        """See `Ask`; `fresh` leaves what is remembered aside, `alone` computes each item by itself.

        Raises InvalidInput, TooLarge, Unavailable, Busy or DeadlinePassed.
        """
        at = self.deadline()
        try:
            async with asyncio.timeout_at(at), self.open(items, fresh=fresh, alone=alone) as pending:
                return [await settle(one) for one in pending]
        except TimeoutError:
            raise late() from None

    def deadline(self) -> float:
        """When the answer must be there, by the clock of the event loop."""
        wanted = _wanted.get()
        longest = self._settings.deadline_seconds
        return asyncio.get_running_loop().time() + min(longest, longest if wanted is None else wanted)

    @asynccontextmanager
    async def open(
        self, items: Sequence[RankItem], *, fresh: bool = False, alone: bool = False
    ) -> AsyncIterator[list[Pending | SparringError]]:
        """Queue the items; on leaving, what is not computed is dropped unless others wait for it."""
        tasks = self._tasks(items)
        readable = [task for task in tasks if isinstance(task, Task)]
        async with self._judge.ask(readable, fresh=fresh, alone=alone) as queued:
            pending = iter(queued)
            yield [next(pending) if isinstance(task, Task) else task for task in tasks]

    def _tasks(self, items: Sequence[RankItem]) -> list[Task | SparringError]:
        """Raises InvalidInput for too many items, and where there is nothing in the request that could be judged; TooLarge
        for too many comparisons, before any of them is looked at."""
        settings = self._settings
        if len(items) > settings.max_items:
            raise InvalidInput(f"The request holds {len(items)} items; send {settings.max_items} at most.")
        wanted = sum(game_count(item) for item in items if len(item.candidates) <= settings.max_candidates)
        if wanted > settings.max_passes:
            raise TooLarge(f"The request holds {wanted} comparisons, both orders counted; send {settings.max_passes} at most.")
        tasks = [new_task(item, self._settings.max_candidates) for item in items]
        if tasks and isinstance(tasks[0], SparringError) and not any(isinstance(task, Task) for task in tasks):
            raise InvalidInput(f"items.0: {tasks[0].message}")
        return tasks


async def settle(one: Pending | SparringError) -> Judged:
    """What an item came to; counted."""
    judged = await one.judgement() if isinstance(one, Pending) else one
    if isinstance(judged, Judgement):
        metrics.count_judgement(judged, position_bias(judged.logits))
    else:
        metrics.REJECTED.labels(judged.type).inc()
    return judged


def late() -> DeadlinePassed:
    """The error of a request whose time is over; counted."""
    metrics.REJECTED.labels(DeadlinePassed.type).inc()
    return DeadlinePassed("The deadline passed before all pairs were computed; send fewer at once, or allow more time.")
