"""The judge of this process: loaded in the background, so that the service answers meanwhile, then asked through a queue."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from anyio import CapacityLimiter, to_thread

from sparring_judge.engines.engine import Description, Engine, Reader, try_plan
from sparring_judge.queue import metrics
from sparring_judge.queue.kept_values import KeptValues
from sparring_judge.queue.scheduler import Pending, Scheduler
from sparring_judge.queue.slots import Slot, open_slots
from sparring_judge.settings import JudgeSettings
from sparring_judge.tasks.task import Task
from sparring_judge.tasks.units import Judgement, Plan, by_itself, judgement
from sparring_shared.errors import Broken, SparringError, Unavailable

_WARM_UP = Task("Which is ready?", ("This one.", "The other."), ((0, 1), (1, 0)))
_READ_AT_ONCE = 8
_log = logging.getLogger(__name__)


class BackgroundJudge:
    """Loads an engine with `load` once started; `on_failure` is called, in any thread, if that fails, or the judge later."""

    def __init__(
        self, load: Callable[[], Engine], settings: JudgeSettings, on_failure: Callable[[], None] = lambda: None
    ) -> None:
        self.failure: SparringError | None = None
        self._load = load
        self._settings = settings
        self._on_failure = on_failure
        self._slots: list[Slot] = []
        self._scheduler: Scheduler | None = None
        self._reader: Reader | None = None
        self._kept: KeptValues | None = None
        self.pinned = True
        self._one_reads: CapacityLimiter | None = None

    def start(self) -> None:
        """Begin to load; called in the event loop that will ask for judgements."""
        self._one_reads = CapacityLimiter(1)
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._load_and_warm_up, args=(loop,), name="load-judge", daemon=True).start()

    async def close(self) -> None:
        """End what computes; a batch that runs is waited for."""
        if self._scheduler is not None:
            await self._scheduler.close()
        if self._kept is not None:
            self._kept.close()
        for slot in self._slots:
            slot.close()

    def missing(self) -> str | None:
        """None when ready, else one sentence that says why not."""
        if self.failure is not None:
            return self.failure.message
        return None if self._scheduler is not None else "The judge is still loading; try again in a moment."

    @property
    def has_served(self) -> bool:
        """Whether it was loaded, whatever became of it."""
        return self._scheduler is not None

    @property
    def reader(self) -> Reader:
        """Which judge it is. Raises Unavailable while it is not loaded, and when it has failed."""
        missing = self.missing()
        if missing is not None or self._reader is None:
            raise Unavailable(missing or "The judge is not loaded.")
        return self._reader

    @property
    def description(self) -> Description:
        """Where it computes. Raises Unavailable while it is not loaded."""
        assert self.reader is not None
        return self._slots[0].description

    @asynccontextmanager
    async def ask(
        self, tasks: Sequence[Task], *, fresh: bool = False, alone: bool = False
    ) -> AsyncIterator[list[Pending | SparringError]]:
        """Read the tasks and queue their units, if wanted each task `alone`; on leaving, what nobody else waits for is dropped.

        What is wrong with one task stands in its place. Raises Unavailable while loading, Busy when too much waits.
        """
        reader, scheduler = self.reader, self._scheduler
        assert scheduler is not None
        read = await self._read(reader, tasks)
        plans = [by_itself(plan) if alone and isinstance(plan, Plan) else plan for plan in read]
        with scheduler.ask([plan for plan in plans if isinstance(plan, Plan)], fresh=fresh) as pending:
            queued = iter(pending)
            yield [next(queued) if isinstance(plan, Plan) else plan for plan in plans]

    async def _read(self, reader: Reader, tasks: Sequence[Task]) -> list[Plan | SparringError]:
        """The plans, a few at a time, so that a small request is read between the parts of a large one."""
        plans: list[Plan | SparringError] = []
        with metrics.UNREAD.track_inprogress(), metrics.READ.time():
            for start in range(0, len(tasks), _READ_AT_ONCE):
                some = tasks[start : start + _READ_AT_ONCE]
                plans += await to_thread.run_sync(_plans, reader, some, limiter=self._one_reads)
        return plans

    def _load_and_warm_up(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            engine = self._load()
            slots = open_slots(engine.load, self._settings.workers)
        except SparringError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 a thread has nobody above it: the failure is recorded and ends the service
            _log.exception("the judge could not be loaded")
            self._fail(Broken(f"The judge could not be loaded: {type(error).__name__}: {error}."))
        else:
            asyncio.run_coroutine_threadsafe(self._warm_up(engine, slots), loop)

    async def _warm_up(self, engine: Engine, slots: list[Slot]) -> None:
        """Compute one pair in every slot, then begin to take requests."""
        reader, settings, device = engine.reader, self._settings, slots[0].description.device
        self._slots, self._reader, self.pinned = slots, reader, engine.pinned
        try:
            self._kept = KeptValues(settings.kept) if settings.kept else None
            plan = reader.plan(_WARM_UP)
            for computed in await asyncio.gather(*(slot.compute(plan.units) for slot in slots)):
                tried = judgement(plan, computed.values)
                if not isinstance(tried, Judgement):
                    raise tried
        except SparringError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 a task has nobody above it: the failure is recorded and ends the service
            _log.exception("the judge could not be tried")
            self._fail(Broken(f"The judge could not be tried: {type(error).__name__}: {error}."))
        else:
            self._scheduler = Scheduler(
                slots,
                max_queued=settings.max_queued,
                cache_entries=settings.cache_entries,
                kept=self._kept,
                probe=plan.units,
                on_failure=self._fail,
            )
            metrics.name_judge(reader.ref, reader.name, device)
            _log.info("judge %s (%s) is ready on %s", reader.ref.name, reader.ref.revision, device)

    def _fail(self, error: SparringError) -> None:
        self.failure = error
        self._on_failure()


def _plans(reader: Reader, tasks: Sequence[Task]) -> list[Plan | SparringError]:
    return [try_plan(reader, task) for task in tasks]
