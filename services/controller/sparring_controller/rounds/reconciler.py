"""What the controller does again and again: ring for what is due, make good for lost messages, end jobs of cancelled runs."""

import logging
import threading
from collections.abc import Callable
from typing import Final

from sparring_controller.rounds.clients import TrainerClient
from sparring_controller.rounds.doorbell import Doorbell
from sparring_controller.rounds.endings import end_cancelled
from sparring_controller.rounds.progress import advance, ring_due, ring_overdue
from sparring_controller.store import runs
from sparring_controller.store.database import Database, DatabaseTrouble

log = logging.getLogger(__name__)

_STOP_SECONDS: Final = 5.0
DUE_SECONDS: Final = 1.0
"""How often it is asked which stages are due; by so much may a look or an attempt be late."""


def reconcile(database: Database, doorbell: Doorbell, patience: float) -> None:
    """Plan and ring anew for every active run."""
    with database.reading() as connection:
        active = runs.active(connection)
    for run_id in active:
        try:
            advance(database, doorbell, run_id)
            ring_overdue(database, doorbell, run_id, patience)
        except runs.Unreadable as error:
            log.error("%s", error.message)
            with database.writing() as connection:
                runs.change(connection, run_id, control="failed", error=error.message)
        except DatabaseTrouble:
            raise
        except Exception:  # a fault of one run is no reason to leave the others alone
            log.exception("run %s could not be moved on", run_id)


class Reconciler:
    """Reconciles every `seconds`, rings for what is due and ends cancelled jobs every second, until it is stopped.

    Each has a thread of its own, so that none waits for another; several controllers do no harm to each other.
    """

    def __init__(self, database: Database, doorbell: Doorbell, trainer: TrainerClient, seconds: float) -> None:
        self._stopped = threading.Event()
        self._threads = [
            self._recurring("bell", min(seconds, DUE_SECONDS), lambda: ring_due(database, doorbell)),
            self._recurring("reconciler", seconds, lambda: reconcile(database, doorbell, 2 * seconds)),
            self._recurring("ending of jobs", min(seconds, DUE_SECONDS), lambda: end_cancelled(database, trainer)),
        ]

    def start(self) -> None:
        """Begin at once."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End after what is in progress, unless that hangs."""
        self._stopped.set()
        for thread in self._threads:
            thread.join(_STOP_SECONDS)

    def _recurring(self, name: str, seconds: float, act: Callable[[], None]) -> threading.Thread:
        def loop() -> None:
            while not self._stopped.is_set():
                try:
                    act()
                except Exception:  # it must outlive every fault of database and Redis; each is logged
                    log.exception("the %s will try again in %s s", name, seconds)
                self._stopped.wait(seconds)

        return threading.Thread(target=loop, name=name, daemon=True)
