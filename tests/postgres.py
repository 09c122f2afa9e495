"""A real Postgres for tests: the distribution's programs, a folder of its own, and no port."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
import pytest
from skips import Skip, skip

ON_BOTH = pytest.mark.parametrize("database_kind", ["sqlite", "postgresql"])
"""For a test that is run on either database."""

_INITDB = ("--username=postgres", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C")
_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off", "listen_addresses=")
_names = count(1)


def programs() -> Path | None:
    """The folder of `initdb` and `postgres`, the newest where there are several; None where there is none."""
    found = [Path(path).resolve().parent for path in [shutil.which("initdb")] if path]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: -int(folder.parent.name))
    return next((folder for folder in found if (folder / "initdb").exists() and (folder / "postgres").exists()), None)


@contextmanager
def server() -> Iterator[str]:
    """A server that lasts as long as this; gives the address of its socket. Without programs skips, or fails if required."""
    folder = programs()
    if folder is None:
        if os.environ.get("SPARRING_POSTGRES") == "required":
            pytest.fail("SPARRING_POSTGRES=required, but there are neither initdb nor postgres; install postgresql.")
        skip(Skip.NO_POSTGRES)
    place = Path(tempfile.mkdtemp(prefix="sparring-postgres-", dir="/tmp"))  # the path of a socket is short
    user = _user()
    if user is not None:
        os.chown(place, user, -1)
    quiet = subprocess.DEVNULL
    try:
        make = [folder / "initdb", "--pgdata", place / "data", *_INITDB]
        subprocess.run(make, check=True, cwd=place, user=user, stdout=quiet)
        serve = [folder / "postgres", "-D", place / "data", "-k", place, *(f"--{option}" for option in _FAST)]
        process = subprocess.Popen(serve, cwd=place, user=user, stdout=quiet, stderr=quiet)
        try:
            _await(process, str(place))
            yield str(place)
        finally:
            process.send_signal(signal.SIGQUIT)  # at once: nothing of it is kept
            process.wait(30)
    finally:
        shutil.rmtree(place)


def new_database(address: str) -> str:
    """The URL of a new database of a server, for a test that changes more of it than tables; `empty_database` is cheaper."""
    name = f"test_{next(_names)}"
    with psycopg.connect(host=address, user="postgres", dbname="postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return f"postgresql+psycopg://postgres@/{name}?host={address}"


def empty_database(address: str) -> str:
    """The URL of the one database of a server, emptied, and left by whoever used it."""
    with psycopg.connect(host=address, user="postgres", dbname="postgres", autocommit=True) as connection:
        others = "datname = current_database() AND pid <> pg_backend_pid()"
        connection.execute(f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE {others}")
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    return f"postgresql+psycopg://postgres@/postgres?host={address}"


def _user() -> int | None:
    """Postgres does not run as root: who runs it then."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name: entry.pw_uid for entry in pwd.getpwall()}
    return known.get("postgres", known["nobody"])


def _await(process: subprocess.Popen[bytes], address: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(host=address, user="postgres", dbname="postgres").close()
            return
        except psycopg.OperationalError:
            assert process.poll() is None and time.monotonic() < deadline, "postgres did not start"
            time.sleep(0.05)
