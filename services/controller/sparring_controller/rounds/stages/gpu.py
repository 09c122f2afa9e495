"""One GPU for generator and trainer, in turns: the generator sleeps while a job trains, and the next sampling wakes it."""

from sparring_controller.rounds.stages.turns import leave_turn, take_turn
from sparring_controller.rounds.stages.work import Later, Work
from sparring_shared.errors import Conflict, InvalidInput

_LOOK_SECONDS = 10.0


def take_jobs_turn(work: Work) -> Later | None:
    """Before a job starts, and at each look at it: what to do instead while another run has the GPU, to sample or to train."""
    return take_turn(work, f"training of {work.row.key}") if work.settings.gpu_shared else None


def leave_jobs_turn(work: Work) -> None:
    """Once the job is over: the GPU is whose turn it is next."""
    if work.settings.gpu_shared:
        leave_turn(work)


def give_to_trainer(work: Work) -> None:
    """Before a job starts: have the generator give its GPU memory back, where both use the same GPU.

    Raises InvalidInput where the generator cannot sleep, as without a GPU.
    """
    if not work.settings.gpu_shared:
        return
    try:
        work.services.generator.sleep()
    except Conflict as conflict:
        advice = "With SPARRING_GPU_SHARED it has to; start it so, or unset that, then resume."
        raise InvalidInput(f"{conflict.message} {advice}") from None


def wait_for_trainer(work: Work) -> Later | None:
    """Before sampling: what to do instead while a job, of whichever run, has the GPU."""
    job = work.services.trainer.running() if work.settings.gpu_shared else None
    return (
        None if job is None else Later(_LOOK_SECONDS, error=f"The training job {job} has the GPU; sampling waits for its end.")
    )
