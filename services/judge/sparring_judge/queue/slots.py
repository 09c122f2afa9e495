"""Where units are computed: a slot computes one batch at a time, in a thread of this process or in a process of its own."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from typing import Protocol

from sparring_judge.engines import worker
from sparring_judge.engines.engine import Computed, Computer, Description
from sparring_judge.tasks.units import Unit
from sparring_shared.errors import SparringError

Load = Callable[[], Computer]


class Slot(Protocol):
    """Computes one batch at a time."""

    @property
    def description(self) -> Description:
        """What its computer says of itself, once it is loaded. Raises what `load` raises."""
        ...

    async def compute(self, units: Sequence[Unit]) -> Computed:
        """See `Computer.compute`."""
        ...

    def close(self) -> None:
        """End what the slot runs; a batch that runs is waited for."""
        ...


class ThreadSlot:
    """A thread of this process, over a computer that several slots may share."""

    def __init__(self, computer: Computer) -> None:
        self.description = computer.description
        self._computer = computer
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="compute")

    async def compute(self, units: Sequence[Unit]) -> Computed:
        """See `Slot`."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._computer.compute, units)

    def close(self) -> None:
        """See `Slot`."""
        self._executor.shutdown(cancel_futures=True)


class ProcessSlot:
    """A process with a computer of its own, the worker `number`; one that dies is replaced before the next batch."""

    def __init__(self, load: Load, number: int) -> None:
        self._load, self._number = load, number
        self._executor = self._start()
        self._described = self._executor.submit(_describe_ours)

    @property
    def description(self) -> Description:
        """See `Slot`."""
        return self._described.result()

    async def compute(self, units: Sequence[Unit]) -> Computed:
        """See `Slot`; raises BrokenProcessPool, a RuntimeError, when the process dies meanwhile."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, _compute_ours, units)
        except BrokenProcessPool:
            self._executor.shutdown(wait=False)
            self._executor = self._start()
            raise

    def close(self) -> None:
        """See `Slot`."""
        self._executor.shutdown(cancel_futures=True)

    def _start(self) -> Executor:
        return ProcessPoolExecutor(1, get_context("spawn"), initializer=_begin, initargs=(self._load, self._number))


def open_slots(load: Load, workers: int) -> list[Slot]:
    """One process for each worker; with one worker, threads of this process, as many as its computer likes to have.

    Blocks until all are loaded. Raises what `load` raises.
    """
    if workers == 1:
        computer = load()
        return [ThreadSlot(computer) for _ in range(computer.description.parallel)]
    slots = [ProcessSlot(load, number) for number in range(workers)]
    assert all(slot.description for slot in slots)
    return list(slots)


# What follows runs in the process of a ProcessSlot.
_ours: Computer | SparringError | None = None


def _begin(load: Load, number: int) -> None:
    """Load the computer; the signals that end the service are its own business, and this process ends with it."""
    global _ours
    worker.number = number
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _ours = load()
    except SparringError as error:
        _ours = error


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _loaded() -> Computer:
    if isinstance(_ours, SparringError):
        raise _ours
    assert _ours is not None
    return _ours


def _describe_ours() -> Description:
    return _loaded().description


def _compute_ours(units: Sequence[Unit]) -> Computed:
    return _loaded().compute(units)
