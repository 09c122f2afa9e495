"""Brings the tables of a database to what this Sparring needs, from nothing or from those of an older one."""

import logging
from typing import Literal

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text

from sparring_controller.store.database import Database
from sparring_shared.errors import InvalidInput

_LOCK = 70_777_261_470
"""Any number that nobody else locks in this database."""


def migrate(database: Database) -> None:
    """Run the migrations that are still to come, all or none; of several controllers that begin at once, one does it.

    Raises InvalidInput for a database of a newer Sparring, which is left as it is.
    """
    config = _config()
    logging.getLogger("alembic.runtime.migration").setLevel(logging.WARNING)
    with database.writing() as connection:
        if connection.dialect.name == "postgresql":  # others of SQLite are held off by its lock
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise InvalidInput(
                f"The database was made by a newer Sparring ({error}); start that one, or name another database in "
                "SPARRING_DATABASE_URL."
            ) from None


def standing(connection: Connection) -> Literal["current", "older", "newer"]:
    """Of which Sparring the tables are: of this one, of an older one or none at all yet, or of a newer one. Only looks."""
    scripts = ScriptDirectory.from_config(_config())
    found = MigrationContext.configure(connection).get_current_revision()
    if found == scripts.get_current_head():
        return "current"
    return "older" if found is None or found in {script.revision for script in scripts.walk_revisions()} else "newer"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "sparring_controller.store:migrations")
    return config
