"""What the processes of one job, perhaps on several machines, do together."""

from typing import TypeVar

from accelerate import PartialState
from accelerate.utils import broadcast_object_list

T = TypeVar("T")


def agreed(value: T) -> T:
    """What the first process says, in all of them: another machine may see a shared folder as it was a moment ago."""
    values = [value]
    broadcast_object_list(values)
    return values[0]


def part() -> None:
    """Dissolve the group of processes once all are done: one that ends before may abort, and fail the job for the others."""
    state = PartialState()
    state.wait_for_everyone()
    state.destroy_process_group()
