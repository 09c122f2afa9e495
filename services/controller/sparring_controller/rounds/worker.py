"""Does one stage: claim, work under a lease, commit or say why not, and plan what comes next."""

import errno
import logging
import os
import socket
from collections.abc import Callable
from typing import Any

from sparring_controller.rounds.clients import Services
from sparring_controller.rounds.damage import Damaged, do_again, undo_what_differs
from sparring_controller.rounds.doorbell import Doorbell
from sparring_controller.rounds.endings import fenced_off
from sparring_controller.rounds.lease import Fenced, Lease
from sparring_controller.rounds.progress import advance
from sparring_controller.rounds.signs_of_life import SignsOfLife
from sparring_controller.rounds.stages import STAGES, Done, GotFurther, Later, Work
from sparring_controller.settings import ControllerSettings
from sparring_controller.store import stages
from sparring_controller.store.database import Connection, Database, DatabaseTrouble
from sparring_controller.store.past import Past
from sparring_controller.store.records import StageRow
from sparring_shared.errors import InvalidInput, SparringError, Unavailable

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
MAX_OUTAGES = 50
RETRY_SECONDS = 5.0
SILENT_SECONDS = 3.0
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What a full disk, a used-up quota and a limit on a file's size say: a trouble of the machine, no attempt of the stage."""


class Worker:
    """Runs stages for one process. A message that comes twice, late or for another's stage is done with at once."""

    def __init__(
        self,
        settings: ControllerSettings,
        database: Database,
        doorbell: Doorbell,
        services: Services,
        signs: SignsOfLife | None = None,
    ) -> None:
        self.settings = settings
        self.signs = signs or SignsOfLife()
        self.database = database
        self.doorbell = doorbell
        self.services = services
        self.owner = f"{socket.gethostname()}:{os.getpid()}"

    def run_stage(self, key: str) -> None:
        """Do the stage if nobody else does, and move its run on."""
        with self.signs.at_work():
            self._run_stage(key)

    def _run_stage(self, key: str) -> None:
        with self.database.writing() as connection:
            row = stages.claim(connection, key, self.owner, self.settings.lease_seconds)
            known = row or stages.get(connection, key)
        if known is None:
            log.warning("there is no stage %s here; the message is from another database", key)
            return
        if row is not None:
            level = logging.DEBUG if row.progress else logging.INFO
            log.log(level, "%s of run %s, round %d, shard %d begins (token %d)", *_names(row), row.token)
            past = Past(self.database, row.run_id)
            with Lease(self.database, row, self.settings.lease_seconds) as lease:

                def check() -> None:
                    self.signs.give()
                    lease.check()

                self._work(Work(past, row, self.settings, self.services, check, self.database))
        advance(self.database, self.doorbell, known.run_id, known)

    def _work(self, work: Work) -> None:
        row = work.row
        try:
            outcome = STAGES[row.stage](work)
            if isinstance(outcome, Done):
                self._commit(work, outcome)
            else:
                self._look_again(row, outcome)
        except Fenced as fenced:
            log.warning("fenced off, nothing is committed: %s", fenced)
        except Damaged as damaged:
            self._do_again(work, damaged)
        except Unavailable as error:
            self._postpone(work, error.message)
        except DatabaseTrouble as error:  # if it cannot be told of this either, the stage is free when its lease has run out
            self._postpone(work, f"The database did not answer ({type(error).__name__}).")
        except InvalidInput as error:
            self._fail(row, error.message)
        except SparringError as error:
            self._retry(row, error.message, 0 if isinstance(error, GotFurther) else row.attempt)
        except Exception as error:  # the worker is the supervisor of stages: it records what ends one
            log.exception("%s of run %s, round %d, shard %d", *_names(row))
            if isinstance(error, OSError) and error.errno in _NO_ROOM:
                self._postpone(work, f"There is no room to write ({error}); make some in {self.settings.runs_dir}.")
            else:
                self._retry(row, f"{type(error).__name__}: {error}; the worker's log has more.", row.attempt)
        finally:
            work.discard()

    def _commit(self, work: Work, done: Done) -> None:
        row, result = work.row, done.result.model_dump(mode="json")
        with self.database.writing() as connection:
            undone = undo_what_differs(connection, row, result)
            if not stages.held(connection, row.key, row.token):
                raise Fenced(f"{row.stage} of run {row.run_id}, round {row.round}, token {row.token}")
            # Under the lock: files appear only for the claim that commits them.
            work.publish()
            stages.commit(connection, row.key, row.token, result)
        log.info("%s of run %s, round %d, shard %d is done (token %d)", *_names(row), row.token)
        work.forget(row.key, *undone)

    def _do_again(self, work: Work, damaged: Damaged) -> None:
        with self.database.writing() as connection:
            undone = do_again(connection, work.row, damaged)
        log.warning("run %s: %s", work.row.run_id, undone.said)
        work.forget(*undone.keys)

    def _look_again(self, row: StageRow, later: Later) -> None:
        self._leave(
            row,
            lambda connection: stages.look_again(connection, row.key, row.token, later.seconds, later.progress, later.error),
        )

    def _postpone(self, work: Work, error: str) -> None:
        """Wait for a service that does not answer: anew where it had answered this attempt before, but not for ever."""
        row = work.row
        with self.database.reading() as connection:
            waited = 0.0 if work.answered else stages.waited(connection, row)
        if waited > self.settings.patience_seconds:
            self._fail(row, f"{error} It was waited for {waited:.0f} s.")
            return
        if work.answered and row.outages == MAX_OUTAGES:
            self._fail(
                row,
                f"{error} It went away in the middle of this stage {MAX_OUTAGES + 1} times; look into its log, then resume.",
            )
            return
        log.warning("%s of run %s, round %d, shard %d waits: %s", *_names(row), error)
        self._leave(
            row, lambda connection: stages.postpone(connection, row.key, row.token, SILENT_SECONDS, error, anew=work.answered)
        )

    def _retry(self, row: StageRow, error: str, failed_before: int) -> None:
        attempt = failed_before + 1
        if attempt >= MAX_ATTEMPTS:
            self._fail(row, error)
            return
        log.warning("%s of run %s, round %d, shard %d, attempt %d: %s", *_names(row), attempt, error)
        seconds = RETRY_SECONDS * attempt
        self._leave(row, lambda connection: stages.retry(connection, row.key, row.token, attempt, seconds, error))

    def _fail(self, row: StageRow, error: str) -> None:
        log.error("%s of run %s, round %d, shard %d failed: %s", *_names(row), error)
        self._leave(row, lambda connection: stages.fail(connection, row.key, row.token, error))

    def _leave(self, row: StageRow, leave: Callable[[Connection], bool]) -> None:
        with self.database.writing() as connection:
            if leave(connection):
                return
            fenced_off(connection, row)
        log.warning("fenced off while it worked: %s of run %s, round %d, shard %d", *_names(row))


def _names(row: StageRow) -> tuple[Any, ...]:
    return row.stage, row.run_id, row.round, row.shard
