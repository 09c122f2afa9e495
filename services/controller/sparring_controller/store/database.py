"""Short transactions on SQLite (WAL, fsynced) or on whatever database the URL names."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, SQLAlchemyError

from sparring_controller.store.file_systems import check_local
from sparring_shared.errors import InvalidInput

__all__ = ["AlreadyThere", "Connection", "Database", "DatabaseTrouble"]

DatabaseTrouble = SQLAlchemyError
"""What is raised when the database does not answer or stays locked."""

AlreadyThere = IntegrityError
"""What is raised when another transaction has just inserted the same key."""

_BUSY_SECONDS = 30
_WRITES = "sparring_writes"
_SERVER_LIMITS = {
    "statement_timeout": 60_000,
    "lock_timeout": _BUSY_SECONDS * 1000,
    "idle_in_transaction_session_timeout": 60_000,  # what a machine held that is gone is free again
    "tcp_keepalives_idle": 15,
}
_POSTGRES: Final = {
    "connect_timeout": 10,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
    "options": " ".join(f"-c {name}={value}" for name, value in _SERVER_LIMITS.items()),
}
"""How long Postgres is waited for, in the words of libpq and of its server (seconds; milliseconds for the timeouts of the
server and of TCP). What the query of the URL says goes before it."""


class Database:
    """Where transactions begin. One per process, made after a fork, never before.

    Raises InvalidInput for a URL that names no database that is installed here, or an SQLite file on a network file system.
    """

    def __init__(self, url: str) -> None:
        try:
            parsed = make_url(url)
            sqlite = parsed.get_backend_name() == "sqlite"
            self.engine = create_engine(parsed, pool_pre_ping=True, connect_args=_limits(parsed))
        except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
            raise InvalidInput(f"SPARRING_DATABASE_URL names no database that can be used here: {error}.") from None
        if sqlite:
            _speak_sqlite(self.engine)
            if parsed.database:
                check_local(Path(parsed.database))
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


def _limits(url: URL) -> dict[str, Any]:
    match url.get_backend_name(), url.get_dialect().driver:
        case "sqlite", _:
            return {"timeout": _BUSY_SECONDS}
        case "postgresql", "psycopg" | "psycopg2":
            return {name: value for name, value in _POSTGRES.items() if name not in url.query}
        case _:
            return {}


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
