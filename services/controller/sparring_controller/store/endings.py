"""Training jobs of cancelled runs that are still to be ended. Every function takes part in the caller's transaction."""

from sqlalchemy import Connection, delete, insert, select

from sparring_controller.store.clock import Now
from sparring_controller.store.tables import endings
from sparring_shared.records import Record


class Ending(Record):
    """A job to be ended, and ended again until `until`, by when no worker can be about to start it any more."""

    job_id: str
    run_id: str
    until: float


def add(connection: Connection, job_id: str, run_id: str, until: float) -> None:
    """Have the job ended; once more if that was asked for before."""
    connection.execute(delete(endings).where(endings.c.job_id == job_id))
    connection.execute(insert(endings).values(job_id=job_id, run_id=run_id, until=until, created_at=Now()))


def every(connection: Connection) -> list[Ending]:
    """All jobs that are to be ended, the longest asked for first."""
    query = select(endings.c.job_id, endings.c.run_id, endings.c.until).order_by(endings.c.created_at)
    return [Ending.model_validate(dict(found)) for found in connection.execute(query).mappings()]


def drop(connection: Connection, ending: Ending) -> None:
    """The job has ended for good, unless it was asked for anew in the meantime."""
    same = (endings.c.job_id == ending.job_id, endings.c.until == ending.until)
    connection.execute(delete(endings).where(*same))
