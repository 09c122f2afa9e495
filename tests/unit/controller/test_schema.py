import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from rows import BASE, CONFIG, run, stage
from sqlalchemy import text

from sparring_controller.store import runs, stages
from sparring_controller.store.database import Database
from sparring_controller.store.schema import migrate
from sparring_controller.store.tables import metadata
from sparring_shared.errors import InvalidInput

FIRST = """
CREATE TABLE runs (run_id VARCHAR(80) NOT NULL, name VARCHAR(64) NOT NULL, control VARCHAR(16) NOT NULL,
 requested_rounds INTEGER NOT NULL, created_at FLOAT NOT NULL, error TEXT, config TEXT NOT NULL, base TEXT NOT NULL,
 PRIMARY KEY (run_id));
CREATE TABLE stages ("key" VARCHAR(64) NOT NULL, run_id VARCHAR(80) NOT NULL, round INTEGER NOT NULL,
 stage VARCHAR(16) NOT NULL, shard INTEGER NOT NULL, state VARCHAR(16) NOT NULL, owner VARCHAR(200), token INTEGER NOT NULL,
 lease_until FLOAT NOT NULL, attempt INTEGER NOT NULL, lapses INTEGER NOT NULL, not_before FLOAT NOT NULL, rung_at FLOAT,
 waiting_since FLOAT, started_at FLOAT, finished_at FLOAT, seconds FLOAT, result TEXT, progress TEXT, error TEXT,
 PRIMARY KEY ("key"), UNIQUE (run_id, round, stage, shard));
CREATE INDEX stages_of_run ON stages (run_id);
CREATE TABLE replies (scope VARCHAR(200) NOT NULL, idempotency_key VARCHAR(200) NOT NULL, request VARCHAR(64) NOT NULL,
 answer TEXT NOT NULL, created_at FLOAT NOT NULL, PRIMARY KEY (scope, idempotency_key))
"""
"""The tables of the first Sparring: no migrations, and neither prompts nor judges of runs."""

STAGE = """
INSERT INTO stages ("key", run_id, round, stage, shard, state, token, lease_until, attempt, lapses, not_before)
VALUES ('k', 'small-1', 1, 'judge', 0, 'done', 3, 0.0, 0, 0, 0.0)
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(database_url)
    yield made
    made.close()


def differences(database: Database) -> list[str]:
    """What Alembic would still change for the tables to be those of `tables.py`."""
    with database.reading() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        return [str(each) for each in compare_metadata(context, metadata)]


def test_the_migrations_make_the_tables_that_the_store_uses(database: Database) -> None:
    migrate(database)
    assert differences(database) == []
    migrate(database)
    assert differences(database) == []


@pytest.mark.parametrize("later_columns", [(), ("prompts",), ("prompts", "judge")])
def test_a_database_of_an_older_sparring_is_taken_over_without_loss(database: Database, later_columns: tuple[str, ...]) -> None:
    first = run()
    with database.writing() as connection:
        for statement in FIRST.split(";"):
            connection.execute(text(statement))
        for column in later_columns:
            connection.execute(text(f"ALTER TABLE runs ADD COLUMN {column} TEXT"))
        head = {"run_id": "small-1", "name": "small", "control": "active", "requested_rounds": 1, "created_at": 1000.0}
        parts = {"config": CONFIG.model_dump_json(), "base": json.dumps(BASE.model_dump())}
        names = ", ".join(head | parts)
        values = ", ".join(f":{name}" for name in head | parts)
        connection.execute(text(f"INSERT INTO runs ({names}) VALUES ({values})"), head | parts)
        connection.execute(text(STAGE))
        connection.execute(text("INSERT INTO replies VALUES ('POST /x', 'key', '0', '{}', 1.0)"))
    migrate(database)
    assert differences(database) == []
    with database.reading() as connection:
        assert runs.get(connection, "small-1") == first
        assert stages.of_run(connection, "small-1") == (stage(1, "judge", key="k", result=None, seconds=None, token=3),)
        assert connection.execute(text("SELECT answer, config_version FROM replies, runs")).one() == ("{}", 1)


def test_controllers_that_begin_at_once_do_not_collide(database_url: str) -> None:
    databases = [Database(database_url) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(migrate, databases))
    assert differences(databases[0]) == []
    for each in databases:
        each.close()


def test_a_database_of_a_newer_sparring_is_left_alone(database: Database) -> None:
    migrate(database)
    with database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(InvalidInput, match=r"The database was made by a newer Sparring .*9999"):
        migrate(database)
