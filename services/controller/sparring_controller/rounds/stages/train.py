"""Stage `train`: a job on the trainer, started once, then looked at again and again; the worker never waits for it."""

from sparring_controller.rounds.clients.trainer import OtherJob
from sparring_controller.rounds.damage import Damaged
from sparring_controller.rounds.draws import seed_of
from sparring_controller.rounds.stage_results import JudgeResult, TrainResult, distinct
from sparring_controller.rounds.stages.gpu import give_to_trainer, leave_jobs_turn, take_jobs_turn
from sparring_controller.rounds.stages.job_starts import starts_of
from sparring_controller.rounds.stages.work import Done, Later, Work
from sparring_controller.store.records import FileRef, StageRow
from sparring_shared.algorithms import history_versions, reference_version
from sparring_shared.errors import Broken, Conflict, InvalidInput
from sparring_shared.wire.trainer import JobRequest, JobStatus

_LOOK_SECONDS = 1.0
_BUSY_SECONDS = 10.0


def job_id(row: StageRow) -> str:
    """The job of a `train` stage: the same however often the stage is claimed."""
    return row.key[:32]


def train(work: Work) -> Done | Later:
    """Start the job, or look at it. Raises what its failure is to the stage, see `job_starts`; started again, it goes on."""
    status, starts = work.services.trainer.job(job_id(work.row)), starts_of(work.row.progress)
    if status is not None and status.state == "succeeded":
        return _finish(work, status)
    if (later := take_jobs_turn(work)) is not None:
        return later
    if status is None or not _was_running(work.row):
        starts, request = starts.again(status), _request(work)
        give_to_trainer(work)
        try:
            status = work.services.trainer.start(job_id(work.row), request)
        except OtherJob as other:
            return Later(_BUSY_SECONDS, work.row.progress, other.message)
        except Conflict as conflict:
            advice = "remove that job's folder there, then resume."
            raise InvalidInput(f"{conflict.message} The trainer knows this round's job with other settings; {advice}") from None
    match status.state:
        case "running":
            progress = {"attempt": work.row.attempt, "step": status.step, "total_steps": status.total_steps}
            progress |= {"eta_seconds": status.eta_seconds, "metrics": status.metrics, "starts": starts.model_dump()}
            return Later(_LOOK_SECONDS, progress)
        case "succeeded":
            return _finish(work, status)
        case _:
            raise starts.failure(status)


def _was_running(row: StageRow) -> bool:
    """Whether the last look saw the job run; else a failure of it was seen then, or is of an earlier attempt."""
    return row.progress is not None and row.progress.get("attempt") == row.attempt and row.error is None


def _request(work: Work) -> JobRequest:
    number, config = work.row.round, work.config
    judged = work.results(JudgeResult, number, "judge")
    selected = [file for shard in range(len(judged)) if (file := _pairs(work, shard)).rows]
    reference = reference_version(config.algorithm, number)
    return JobRequest(
        policy=work.policy(number - 1),
        reference=None if reference is None else work.policy(reference),
        history=tuple(work.policy(version) for version in history_versions(config.algorithm, number)),
        pairs=tuple(str(work.places.root / file.path) for file in selected),
        pairs_sha256=tuple(file.sha256 for file in selected),
        output=str(work.places.checkpoint(number)),
        version=number,
        algorithm=config.algorithm,
        training=config.training,
        seed=seed_of(config.seed, number, "train"),
        judges=distinct(judge for result in judged for judge in result.judges),
        estimator=config.judge.estimator,
    )


def _pairs(work: Work, shard: int) -> FileRef:
    """Raises Damaged, when no job runs on what may be other pairs by now."""
    try:
        return work.verified(work.row.round, "select", shard)
    except Damaged:
        work.services.trainer.cancel(job_id(work.row))
        raise


def _finish(work: Work, status: JobStatus) -> Done:
    checkpoint = status.checkpoint
    if checkpoint is None or checkpoint.version != work.row.round:
        raise Broken(f"The trainer says that the job succeeded, but not with version {work.row.round}: {checkpoint}.")
    leave_jobs_turn(work)
    work.write_json(work.places.training(work.row.round) / "metrics.json", status.metrics)
    return Done(TrainResult(checkpoint=checkpoint, metrics=status.metrics))
