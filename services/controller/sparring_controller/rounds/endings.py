"""Ends the training jobs of cancelled runs, also where the trainer was away or a worker was about to start one."""

import logging

from sparring_controller.rounds.clients import TrainerClient
from sparring_controller.rounds.stages.train import job_id
from sparring_controller.store import endings, stages
from sparring_controller.store.clock import now
from sparring_controller.store.database import Connection, Database
from sparring_controller.store.records import StageRow
from sparring_shared.errors import SparringError

log = logging.getLogger(__name__)


def to_be_ended(connection: Connection, run_id: str, seconds: float) -> None:
    """In the transaction that cancels a run: its job is to be ended, if a worker ever claimed its training.

    That worker may start it as long as its lease holds, with a request that takes up to `seconds`.
    """
    for row in stages.begun(connection, run_id, "train"):
        endings.add(connection, job_id(row), run_id, max(row.lease_until, now(connection)) + seconds)


def fenced_off(connection: Connection, row: StageRow) -> None:
    """A worker that was fenced off may have started the job of a run that is cancelled: it is to be ended, whoever did."""
    if row.stage == "train" and stages.cancelled(connection, row.key):
        endings.add(connection, job_id(row), row.run_id, now(connection))


def end_cancelled(database: Database, trainer: TrainerClient) -> None:
    """End what is to be ended, and forget it once nobody can start it again; a trainer that is away is asked again."""
    with database.reading() as connection:
        moment, wanted = now(connection), endings.every(connection)
    for ending in wanted:
        try:
            trainer.cancel(ending.job_id)
        except SparringError as error:
            log.warning(
                "the training job %s of the cancelled run %s may go on: %s", ending.job_id, ending.run_id, error.message
            )
            continue
        if ending.until <= moment:
            with database.writing() as connection:
                endings.drop(connection, ending)
