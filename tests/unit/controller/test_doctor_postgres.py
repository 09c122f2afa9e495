"""What the doctor says of a real Postgres, and that looking at it cannot change it."""

import socket

import psycopg
import pytest
from postgres import new_database
from rows import run
from sqlalchemy import text

from sparring_controller.doctor.clocks import of_database
from sparring_controller.doctor.database import database
from sparring_controller.doctor.examination import Check, examine
from sparring_controller.store import runs
from sparring_controller.store.database import Database, DatabaseTrouble
from sparring_controller.store.inspection import reading_only
from sparring_controller.store.schema import migrate


@pytest.fixture
def url(postgres_server: str) -> str:
    return new_database(postgres_server)


def made(url: str) -> None:
    kept = Database(url)
    migrate(kept)
    with kept.writing() as connection:
        runs.add(connection, run())
    kept.close()


def says(url: str) -> tuple[str, str]:
    [found] = examine([Check("database", lambda: database(url))])
    return found.level, " ".join(word for word in found.says.split() if not word[0].isdecimal())


def altered(server: str, statement: str) -> None:
    with psycopg.connect(host=server, user="postgres", dbname="postgres", autocommit=True) as connection:
        connection.execute(statement.encode())


def test_a_postgres_that_answers(url: str) -> None:
    older = "postgresql has the tables of an older Sparring; the controller changes them when it starts."
    assert says(url) == ("warning", older)
    made(url)
    assert says(url) == ("ok", "postgresql answers and can be written to.")
    ahead = of_database(url)()
    assert ahead is not None and abs(ahead) < 3


def test_a_look_cannot_write(url: str) -> None:
    made(url)
    with reading_only(url, 5) as connection:
        assert runs.ids(connection) == ["small-1"]
        with pytest.raises(DatabaseTrouble, match="read-only transaction"):
            connection.execute(text("DELETE FROM runs"))


def test_postgreses_that_take_nothing_in(url: str, postgres_server: str) -> None:
    made(url)
    name = url.split("@/")[1].split("?")[0]
    altered(postgres_server, f"CREATE ROLE {name}_reader LOGIN")
    wrong = "postgresql takes nothing in ({}); end what holds it, or give the right to write."
    reader = url.replace("postgres@", f"{name}_reader@")
    with psycopg.connect(host=postgres_server, user="postgres", dbname=name, autocommit=True) as connection:
        connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}_reader".encode())
    assert says(reader) == ("wrong", wrong.format("its user may not write"))
    altered(postgres_server, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    assert says(url) == ("wrong", wrong.format("it is a replica, or set to be read only"))


def test_a_postgres_that_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        level, told = says(f"postgresql+psycopg://me:hush@127.0.0.1:{silent.getsockname()[1]}/none")
    assert level == "wrong"
    assert told.startswith("It does not answer (")
    assert told.endswith("start it, or correct SPARRING_DATABASE_URL.")
    assert "hush" not in told
