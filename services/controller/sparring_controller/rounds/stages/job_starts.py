"""How often a training job was started without getting further, and what its failure therefore is to its stage."""

from typing import Any

from sparring_controller.rounds.stages.work import GotFurther
from sparring_shared.errors import Broken, InvalidInput, SparringError, Unavailable, error_of
from sparring_shared.records import Record
from sparring_shared.wire.trainer import JobStatus

MAX_IDLE = 20
"""How often in a row a job may be interrupted without a step more than ever before, until that counts as an attempt."""


class Starts(Record):
    """`reached` is the step at which the job ended when it was last started again, the highest of all; `idle` counts the
    starts since it was reached."""

    reached: int = 0
    idle: int = 0

    def again(self, before: JobStatus | None) -> "Starts":
        """With one start more of a job that was so `before`, unless it runs; None if the trainer did not know it."""
        if before is not None and before.state in ("running", "succeeded"):
            return self
        step = 0 if before is None else before.step
        return Starts(reached=step) if step > self.reached else Starts(reached=self.reached, idle=self.idle + 1)

    def failure(self, ended: JobStatus) -> SparringError:
        """Unavailable for what is no attempt, InvalidInput for what no attempt would mend, GotFurther for a first attempt."""
        error = error_of(ended.error_type or Broken.type, ended.error or f"The training job was {ended.state}.")
        further = ended.step > self.reached
        if isinstance(error, InvalidInput) or (isinstance(error, Unavailable) and (further or self.idle < MAX_IDLE)):
            return error
        return GotFurther(error.message) if further else Broken(error.message)


def starts_of(progress: dict[str, Any] | None) -> Starts:
    """As the stage kept them between two looks."""
    return Starts.model_validate((progress or {}).get("starts", {}))
