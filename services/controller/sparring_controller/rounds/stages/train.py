"""Stage `train`: a job on the trainer, started once, then looked at again and again; the worker never waits for it."""

from sparring_controller.rounds.draws import seed_of
from sparring_controller.rounds.stage_results import JudgeResult, SelectResult, TrainResult, distinct
from sparring_controller.rounds.stages.gpu import give_to_trainer
from sparring_controller.rounds.stages.work import Done, Later, Work
from sparring_controller.store.records import StageRow
from sparring_shared.algorithms import history_versions, reference_version
from sparring_shared.errors import Broken, Conflict, InvalidInput
from sparring_shared.wire.trainer import JobRequest, JobStatus

_LOOK_SECONDS = 1.0
_BUSY_SECONDS = 10.0


def job_id(row: StageRow) -> str:
    """The job of a `train` stage: the same however often the stage is claimed."""
    return row.key[:32]


def train(work: Work) -> Done | Later:
    """Start the job, or look at it. Raises Broken when it failed; the next attempt starts it again from where it was."""
    started = (work.row.progress or {}).get("attempt") == work.row.attempt
    status = work.services.trainer.job(job_id(work.row)) if started else None
    if status is None:
        give_to_trainer(work)
        try:
            status = work.services.trainer.start(job_id(work.row), _request(work))
        except Conflict as conflict:
            return _wait_for_turn(work, conflict)
    match status.state:
        case "running":
            progress = {"attempt": work.row.attempt, "step": status.step, "total_steps": status.total_steps}
            return Later(_LOOK_SECONDS, progress | {"eta_seconds": status.eta_seconds, "metrics": status.metrics})
        case "succeeded":
            return _finish(work, status)
        case _:
            raise Broken(status.error or f"The training job was {status.state}.")


def _request(work: Work) -> JobRequest:
    number, config = work.row.round, work.config
    selected = [result.file for result in work.results(SelectResult, number, "select")]
    judged = work.results(JudgeResult, number, "judge")
    reference = reference_version(config.algorithm, number)
    return JobRequest(
        policy=work.policy(number - 1),
        reference=None if reference is None else work.policy(reference),
        history=tuple(work.policy(version) for version in history_versions(config.algorithm, number)),
        pairs=tuple(str(work.places.root / file.path) for file in selected if file.rows),
        output=str(work.places.checkpoint(number)),
        version=number,
        algorithm=config.algorithm,
        training=config.training,
        seed=seed_of(config.seed, number, "train"),
        judges=distinct(judge for result in judged for judge in result.judges),
        estimator=config.judge.estimator,
    )


def _wait_for_turn(work: Work, conflict: Conflict) -> Later:
    """The trainer takes one job at a time: wait, unless our id already stands for another job."""
    known = work.services.trainer.job(job_id(work.row))
    if known is not None and known.state in ("running", "succeeded"):
        raise InvalidInput(f"{conflict.message} The trainer knows this round's job with other settings; remove that job.")
    return Later(_BUSY_SECONDS, error=conflict.message)


def _finish(work: Work, status: JobStatus) -> Done:
    checkpoint = status.checkpoint
    if checkpoint is None or checkpoint.version != work.row.round:
        raise Broken(f"The trainer says that the job succeeded, but not with version {work.row.round}: {checkpoint}.")
    work.write_json(work.places.training(work.row.round) / "metrics.json", status.metrics)
    return Done(TrainResult(checkpoint=checkpoint, metrics=status.metrics))
