"""What an engine is, in two parts: a reader that turns tasks into units of work, and a computer that gives each unit its value.

The reader is cheap (it tokenises) and lives in the process that answers HTTP; the computer holds the model and may live in
processes of its own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from sparring_judge.tasks.task import Task
from sparring_judge.tasks.units import Judgement, Limits, Plan, Unit, Value, judgement
from sparring_shared.errors import SparringError
from sparring_shared.records import JudgeRef


class Reader(Protocol):
    """Turns tasks into plans; used by one thread at a time."""

    ref: JudgeRef
    name: str
    limits: Limits

    def plan(self, task: Task) -> Plan:
        """The task as units of work. Raises SparringError for what is wrong with it."""
        ...


@dataclass(frozen=True)
class Computed:
    """Values of units in their order, and how many tokens were computed besides theirs, as padding."""

    values: tuple[Value, ...]
    padding: int = 0


@dataclass(frozen=True)
class Description:
    """Where a computer computes, how many tokens it likes to take at once, and how many such calls at a time.

    `note` is what a user of its numbers should know, such as the error of a lower precision.
    """

    device: str
    batch_tokens: int
    parallel: int = 1
    note: str | None = None


class Computer(Protocol):
    """Gives units their values."""

    @property
    def description(self) -> Description:
        """Where and how it computes."""
        ...

    def compute(self, units: Sequence[Unit]) -> Computed:
        """The value of each unit. Raises RuntimeError or MemoryError when the engine fails as a whole."""
        ...


@dataclass(frozen=True)
class Engine:
    """A reader, and what makes its computer; `load` is called once in each process that computes, and can be pickled.

    `pinned`: the revision of the reader's `ref` says which weights answer.
    """

    reader: Reader
    load: Callable[[], Computer]
    pinned: bool = True


def try_plan(reader: Reader, task: Task) -> Plan | SparringError:
    """The plan of a task, or what is wrong with it."""
    try:
        return reader.plan(task)
    except SparringError as error:
        return error


def judge_tasks(reader: Reader, computer: Computer, tasks: Sequence[Task]) -> list[Judgement | SparringError]:
    """Judge tasks here and now, all units in one call; what is wrong with one task leaves its neighbours alone."""
    plans = [try_plan(reader, task) for task in tasks]
    units = tuple(dict.fromkeys(unit for plan in plans if isinstance(plan, Plan) for unit in plan.units))
    values = dict(zip(units, computer.compute(units).values, strict=True)) if units else {}
    return [judgement(plan, [values[unit] for unit in plan.units]) if isinstance(plan, Plan) else plan for plan in plans]
