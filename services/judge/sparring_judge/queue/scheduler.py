"""The queue between requests and engines: fair, bounded, each unit computed once, nothing computed that nobody waits for.

Requests share the engine evenly, token by token (self-clocked fair queueing, Golestani 1994): what a request wants is due after
the work that it amounts to, counted from what is being computed when it comes, so a small one is not stuck behind many large
ones. A slot takes what is due, up to what it likes to take at once, as soon as it is free. All in one event loop.
"""

import asyncio
import heapq
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, groupby

from cachetools import LRUCache

from sparring_judge.engines.engine import Computed
from sparring_judge.queue import metrics
from sparring_judge.queue.kept_values import KeptValues
from sparring_judge.queue.slots import Slot
from sparring_judge.tasks.units import Judgement, Plan, Unit, Value, judgement
from sparring_shared.errors import Broken, Busy, SparringError, Unavailable

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Entry:
    """A unit that is waiting or being computed; `wanted` by so many requests."""

    unit: Unit
    value: asyncio.Future[Value]
    since: float
    wanted: int = 0
    started: bool = False


class Pending:
    """A plan whose units are known, waiting or being computed."""

    def __init__(self, plan: Plan, values: Sequence[_Entry | float]) -> None:
        self.plan = plan
        self._values = values

    async def judgement(self) -> Judgement | SparringError:
        """What it comes to, once all its units are computed."""
        values = [await asyncio.shield(value.value) if isinstance(value, _Entry) else value for value in self._values]
        return judgement(self.plan, values, [isinstance(value, float) for value in self._values])


class Scheduler:
    """Gives units to slots. `max_queued` units may wait, `cache_entries` values are kept in memory, and all in `kept`.

    The units of `probe` can be computed as long as an engine works at all. `on_failure` is called once when a slot is served no
    more: its engine does not work, or the queue itself failed. From then on everybody is answered Unavailable.
    """

    def __init__(
        self,
        slots: Sequence[Slot],
        *,
        max_queued: int,
        cache_entries: int,
        kept: KeptValues | None = None,
        probe: Sequence[Unit] = (),
        on_failure: Callable[[SparringError], None] = lambda _: None,
    ) -> None:
        self._probe = probe
        self._on_failure = on_failure
        self._failure: SparringError | None = None
        self._max_queued = max_queued
        self._cache: LRUCache[bytes, float] = LRUCache(cache_entries)
        self._kept = kept
        self._open: dict[bytes, _Entry] = {}
        self._due: list[tuple[int, int, _Entry]] = []
        self._clock = 0
        self._arrivals = count()
        self._queued = 0
        self._queued_tokens = 0
        self._tokens_per_second = math.inf
        self._work = asyncio.Event()
        self._loops = [asyncio.create_task(self._serve(slot)) for slot in slots]
        for loop in self._loops:
            loop.add_done_callback(self._ended)

    @contextmanager
    def ask(self, plans: Sequence[Plan], *, fresh: bool = False) -> Iterator[list[Pending]]:
        """Queue the units of some plans, `fresh` those as well whose values are kept; on leaving, those that nobody else waits
        for are dropped. Raises Busy, Unavailable."""
        if self._failure is not None:
            raise self._failure
        units = {unit.key: unit for plan in plans for unit in sorted(plan.units, key=lambda unit: unit.tokens)}
        known = {} if fresh else self._known(list(units.values()))
        self._refuse_if_full([unit for key, unit in units.items() if key not in known and key not in self._open])
        wanted = {key: self._entry(unit) for key, unit in units.items() if key not in known}
        self._line_up([entry for entry in wanted.values() if not entry.started])
        try:
            found = known | wanted
            yield [Pending(plan, [found[unit.key] for unit in plan.units]) for plan in plans]
        finally:
            for entry in wanted.values():
                self._release(entry)

    async def close(self) -> None:
        """Take no more batches."""
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)

    def _known(self, units: Sequence[Unit]) -> dict[bytes, float]:
        """The values that are kept, in memory or on disk; those of a company are known together, or not at all."""
        keys = [unit.key for unit in units]
        known = {key: value for key in keys if (value := self._cache.get(key)) is not None}
        if self._kept is not None and len(known) < len(keys):
            known |= self._kept.values([key for key in keys if key not in known])
        return {unit.key: known[unit.key] for unit in units if known.keys() >= {unit.key, *unit.company}}

    def _keep(self, values: Mapping[bytes, float]) -> None:
        if self._cache.maxsize:
            self._cache.update(values)
        if self._kept is not None:
            self._kept.add(values)

    def _refuse_if_full(self, new: Sequence[Unit]) -> None:
        """A request that alone is larger than the queue is taken when nothing waits."""
        if self._queued and self._queued + len(new) > self._max_queued:
            seconds = min(60, max(1, math.ceil(self._queued_tokens / self._tokens_per_second)))
            metrics.REJECTED.labels("busy").inc()
            raise Busy(f"The judge is busy: {self._queued} pairs wait already; try again in {seconds} s.", retry_after=seconds)

    def _entry(self, unit: Unit) -> _Entry:
        """The one entry of a unit, now wanted by one request more."""
        entry = self._open.get(unit.key)
        if entry is None:
            entry = self._open[unit.key] = _Entry(unit, asyncio.get_running_loop().create_future(), time.monotonic())
            self._count(entry, 1)
        entry.wanted += 1
        return entry

    def _release(self, entry: _Entry) -> None:
        entry.wanted -= 1
        if entry.wanted == 0 and not entry.started and not entry.value.done():
            del self._open[entry.unit.key]
            self._count(entry, -1)
            metrics.DROPPED.inc()

    def _count(self, entry: _Entry, sign: int) -> None:
        self._queued += sign
        self._queued_tokens += sign * entry.unit.tokens
        metrics.QUEUED.set(self._queued)

    def _line_up(self, entries: Sequence[_Entry]) -> None:
        """Say when each is due, in tokens; neighbours of one length, as both orders of a pair, are due two by two."""
        due = self._clock
        for tokens, alike in groupby(entries, lambda entry: entry.unit.tokens):
            group = list(alike)
            for at, entry in enumerate(group, start=1):
                both = min(at + at % 2, len(group))
                heapq.heappush(self._due, (due + tokens * both, next(self._arrivals), entry))
            due += tokens * len(group)
        self._work.set()

    def _take(self, room: int) -> list[_Entry]:
        """The next batch: at most `room` tokens, or one unit, or one in its company; empty if nothing waits."""
        batch: list[_Entry] = []
        while self._due:
            due, _, entry = self._due[0]
            waits = not entry.started and entry.wanted > 0
            if waits and batch and (entry.unit.tokens > room or entry.unit.company):
                break
            heapq.heappop(self._due)
            if waits and entry.unit.company:
                self._clock = due
                return [self._start(self._open[key]) for key in entry.unit.company]
            if waits:
                batch.append(self._start(entry))
                room -= entry.unit.tokens
                self._clock = due
        return batch

    def _start(self, entry: _Entry) -> _Entry:
        entry.started = True
        self._count(entry, -1)
        metrics.WAIT.observe(time.monotonic() - entry.since)
        return entry

    async def _serve(self, slot: Slot) -> None:
        while True:
            batch = self._take(slot.description.batch_tokens)
            if not batch:
                self._work.clear()
                await self._work.wait()
                continue
            values = await self._compute(slot, [entry.unit for entry in batch])
            for entry, value in zip(batch, values, strict=True):
                entry.value.set_result(value)
                del self._open[entry.unit.key]
            found = zip(batch, values, strict=True)
            self._keep({entry.unit.key: value for entry, value in found if isinstance(value, float) and math.isfinite(value)})

    def _ended(self, loop: asyncio.Task[None]) -> None:
        """A loop ends by itself only through what it was not made for: nobody is left waiting for it, and it is told."""
        if loop.cancelled() or self._failure is not None:
            return
        error = loop.exception()
        _log.error("a loop of the queue ended", exc_info=error)
        self._failure = Unavailable(f"The judge failed ({type(error).__name__}; see its log) and has to be started again.")
        for entry in self._open.values():
            if not entry.value.done():
                entry.value.set_result(self._failure)
        self._on_failure(self._failure)

    async def _compute(self, slot: Slot, units: Sequence[Unit]) -> Sequence[Value]:
        """Their values; when the engine fails on several at once, each is tried alone, so that one fails no other.

        Raises what the engine raises when it fails on the probe too: then it is the engine that is at fault, not a unit.
        """
        began = time.monotonic()
        try:
            computed = await slot.compute(units)
        except Exception as error:  # noqa: BLE001 nobody is above this loop: the failure is recorded and answered
            _log.exception("the engine failed on a batch of %d", len(units))
            if len(units) == 1:
                if self._probe:
                    await slot.compute(self._probe)
                return [Broken(f"The engine failed ({type(error).__name__}); see the log of the judge.")]
            return [(await self._compute(slot, [unit]))[0] for unit in units]
        self._note(units, computed, time.monotonic() - began)
        return computed.values

    def _note(self, units: Sequence[Unit], computed: Computed, seconds: float) -> None:
        tokens = sum(unit.tokens for unit in units)
        self._tokens_per_second = tokens / max(seconds, 1e-6) * len(self._loops)
        metrics.count_batch(len(units), tokens, computed.padding, seconds)
