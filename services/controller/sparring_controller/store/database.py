"""Short transactions on SQLite (WAL, fsynced) or on whatever database the URL names."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, SQLAlchemyError

from sparring_shared.errors import InvalidInput

__all__ = ["AlreadyThere", "Connection", "Database", "DatabaseTrouble"]

DatabaseTrouble = SQLAlchemyError
"""What is raised when the database does not answer or stays locked."""

AlreadyThere = IntegrityError
"""What is raised when another transaction has just inserted the same key."""

_BUSY_SECONDS = 30
_WRITES = "sparring_writes"


class Database:
    """Where transactions begin. One per process, made after a fork, never before.

    Raises InvalidInput for a URL that names no database that is installed here.
    """

    def __init__(self, url: str) -> None:
        try:
            parsed = make_url(url)
            sqlite = parsed.get_backend_name() == "sqlite"
            options: dict[str, Any] = {"connect_args": {"timeout": _BUSY_SECONDS}} if sqlite else {}
            self.engine = create_engine(parsed, pool_pre_ping=True, **options)
        except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
            raise InvalidInput(f"SPARRING_DATABASE_URL names no database that can be used here: {error}.") from None
        if sqlite:
            _speak_sqlite(self.engine)
            if parsed.database:
                Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that may write; on SQLite it holds the write lock from its first moment."""
        with self.engine.connect().execution_options(**{_WRITES: True}) as connection, connection.begin():
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database."""
        with self.engine.connect() as connection, connection.begin():
            yield connection

    def ping(self) -> None:
        """Raises DatabaseTrouble when the database does not answer."""
        with self.reading() as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()


def _speak_sqlite(engine: Engine) -> None:
    """Write-ahead log, an fsync per commit, and transactions that begin when we say so."""

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver would begin transactions too late to hold off a second claim
        for pragma in (f"busy_timeout={_BUSY_SECONDS * 1000}", "journal_mode=WAL", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get(_WRITES) else "BEGIN")
