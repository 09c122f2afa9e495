"""A database looked at without changing it, whether or not a controller runs: its runs, and what can be said of it."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal

from sqlalchemy import URL, Connection, Engine, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.pool import NullPool

from sparring_controller.store import runs
from sparring_controller.store.clock import now
from sparring_controller.store.file_systems import check_local
from sparring_controller.store.records import RunSnapshot, UnreadableRun
from sparring_controller.store.schema import standing
from sparring_shared.errors import InvalidInput, Unavailable
from sparring_shared.records import Record

_NOT_OURS = {
    "older": "Its database is of an older Sparring; start this one, which changes the tables, or use that one.",
    "newer": "Its database is of a newer Sparring; use that one.",
}


class Absent(Unavailable):
    """No controller has made this database yet."""


class DatabaseFacts(Record):
    """What a database is: `kind` with its version, e.g. `SQLite 3.45.1`.

    `logged` says of SQLite whether it writes ahead to a log (WAL). `tables` are those of this Sparring, of an older or a newer
    one. `refuses` says why nothing could be written, None where it could. `clock` is how many seconds its clock is ahead of
    ours, None where it has none of its own.
    """

    kind: str
    logged: bool | None = None
    tables: Literal["current", "older", "newer"] = "current"
    refuses: str | None = None
    clock: float | None = None


@contextmanager
def reading_only(url: str, seconds: float) -> Iterator[Connection]:
    """A transaction that cannot write, on a database that is there; it waits `seconds` for a connection or a lock.

    Raises Absent for an SQLite file that is not there, InvalidInput for a URL that cannot be used here.
    """
    engine = _engine(url, seconds)
    try:
        with engine.connect() as connection, connection.begin():
            yield connection
    finally:
        engine.dispose()


def kept_runs(url: str, run_id: str | None, seconds: float) -> list[RunSnapshot | UnreadableRun]:
    """One run, or all of them, newest first, as the database holds them.

    Raises NotFound for a run that it does not hold, Unavailable for a database of another Sparring, and what `reading_only`
    and a database that does not answer raise.
    """
    with reading_only(url, seconds) as connection:
        tables = standing(connection)
        if tables != "current":
            raise Unavailable(_NOT_OURS[tables])
        return [runs.look(connection, each) for each in (runs.ids(connection) if run_id is None else [run_id])]


def facts(url: str, seconds: float) -> DatabaseFacts:
    """What the database says of itself.

    Raises DatabaseTrouble when it does not answer, InvalidInput for SQLite on a network file system, and what `reading_only`
    raises.
    """
    file = sqlite_file(url)
    if file is not None:
        check_local(file)
    with reading_only(url, seconds) as connection:
        tables = standing(connection)
        if file is not None:
            kind, refuses = f"SQLite {sqlite3.sqlite_version}", _locked(file, seconds)
            return DatabaseFacts(kind=kind, logged=_logged(file), tables=tables, refuses=refuses)
        version = ".".join(str(part) for part in connection.dialect.server_version_info or ())
        refuses, clock = _forbidden(connection, made=tables == "current"), _clock(connection)
        return DatabaseFacts(kind=f"{connection.dialect.name} {version}", tables=tables, refuses=refuses, clock=clock)


def sqlite_file(url: str) -> Path | None:
    """The file of an SQLite database, None for another. Raises InvalidInput for a URL that cannot be used here."""
    parsed = _parsed(url)
    return Path(parsed.database or "") if parsed.get_backend_name() == "sqlite" else None


def _engine(url: str, seconds: float) -> Engine:
    file = sqlite_file(url)
    if file is not None:
        if not file.is_file():
            raise Absent(f"There is no database at {file} yet; the controller makes it when it starts.")
        return create_engine("sqlite://", creator=lambda: _sqlite(file, seconds), poolclass=NullPool)
    waits = {"connect_timeout": max(2, round(seconds)), "options": f"-c statement_timeout={round(seconds * 1000)}"}
    try:
        engine = create_engine(_parsed(url), connect_args=waits, poolclass=NullPool)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise InvalidInput(f"SPARRING_DATABASE_URL names no database that can be used here: {error}.") from None
    return engine.execution_options(postgresql_readonly=True)


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except ArgumentError as error:
        raise InvalidInput(f"SPARRING_DATABASE_URL names no database that can be used here: {error}.") from None


def _sqlite(file: Path, seconds: float) -> sqlite3.Connection:
    """A read-only connection. Even that would leave a log behind where there is none: then the file alone is the database."""
    logged = file.with_name(f"{file.name}-wal").exists()
    uri = f"{file.absolute().as_uri()}?mode=ro{'' if logged else '&immutable=1'}"
    return sqlite3.connect(uri, uri=True, timeout=seconds, isolation_level=None, check_same_thread=False)


def _logged(file: Path) -> bool:
    """By the file's head, as a connection that takes the file for immutable does not say."""
    with file.open("rb") as stream:
        return stream.read(20)[18:] == bytes((2, 2))


def _locked(file: Path, seconds: float) -> str | None:
    """Take the lock that every write needs, and give it back."""
    uri = f"{file.absolute().as_uri()}?mode=rw"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=seconds, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        return str(error)
    return None


def _forbidden(connection: Connection, *, made: bool) -> str | None:
    recovering, read_only = connection.execute(
        text("SELECT pg_is_in_recovery(), (SELECT reset_val FROM pg_settings WHERE name = 'default_transaction_read_only')")
    ).one()
    if recovering or read_only == "on":
        return "it is a replica, or set to be read only"
    right = "has_table_privilege('runs', 'UPDATE')" if made else "has_schema_privilege(current_schema(), 'CREATE')"
    return None if connection.execute(text(f"SELECT {right}")).scalar_one() else "its user may not write"


def _clock(connection: Connection) -> float:
    began = time.time()
    return now(connection) - (began + time.time()) / 2
