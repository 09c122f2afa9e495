"""The lease of a worker on a stage: renewed by a thread, noticed when lost."""

import logging
import threading
from types import TracebackType
from typing import Self

from sparring_controller.store import stages, turns
from sparring_controller.store.database import Database, DatabaseTrouble
from sparring_controller.store.records import StageRow

log = logging.getLogger(__name__)


class Fenced(Exception):
    """Another worker holds the stage now: stop, nothing of this attempt counts."""


class Lease:
    """Held from `with` to its end, renewed three times per `seconds`; `check()` raises Fenced once it is lost."""

    def __init__(self, database: Database, row: StageRow, seconds: float) -> None:
        self._database = database
        self._row = row
        self._seconds = seconds
        self._lost = threading.Event()
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._released.set()
        self._thread.join()

    def check(self) -> None:
        """Raises Fenced when the stage belongs to another worker by now; call it between steps of long work."""
        if self._lost.is_set():
            raise Fenced(f"{self._row.stage} of run {self._row.run_id}, round {self._row.round}, token {self._row.token}")

    def _renew(self) -> None:
        while not self._released.wait(self._seconds / 3):
            try:
                with self._database.writing() as connection:
                    alive = stages.renew(connection, self._row.key, self._row.token, self._seconds)
                    if alive:
                        turns.renew(connection, self._row.key, self._seconds)
            except DatabaseTrouble as error:
                # The lease runs out by itself; the commit decides, so there is nothing to stop for yet.
                log.warning("the lease could not be renewed (%s)", type(error).__name__)
                continue
            if not alive:
                self._lost.set()
                return
