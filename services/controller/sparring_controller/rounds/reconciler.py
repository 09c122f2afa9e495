"""The reconciler: a thread that, every few seconds, makes good for every message that was lost."""

import logging
import threading

from sparring_controller.rounds.doorbell import Doorbell
from sparring_controller.rounds.progress import advance, ring_overdue
from sparring_controller.store import runs
from sparring_controller.store.database import Database

log = logging.getLogger(__name__)


def reconcile(database: Database, doorbell: Doorbell, patience: float) -> None:
    """Plan and ring anew for every active run."""
    with database.reading() as connection:
        active = runs.active(connection)
    for run_id in active:
        advance(database, doorbell, run_id)
        ring_overdue(database, doorbell, run_id, patience)


class Reconciler:
    """Runs `reconcile` every `seconds` until it is stopped; several of them do no harm to each other."""

    def __init__(self, database: Database, doorbell: Doorbell, seconds: float) -> None:
        self._database = database
        self._doorbell = doorbell
        self._seconds = seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="reconciler", daemon=True)

    def start(self) -> None:
        """Begin at once."""
        self._thread.start()

    def stop(self) -> None:
        """End after the round in progress."""
        self._stopped.set()
        self._thread.join()

    def _loop(self) -> None:
        while not self._stopped.is_set():
            try:
                reconcile(self._database, self._doorbell, 2 * self._seconds)
            except Exception:  # it must outlive every fault of database and Redis; each is logged
                log.exception("the reconciler will try again in %s s", self._seconds)
            self._stopped.wait(self._seconds)
