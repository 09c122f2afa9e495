"""The one clock of leases and waits: the database's. Workers' own clocks may differ, or be set."""

from typing import Any

from sqlalchemy import Connection, Float, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

__all__ = ["Now", "now"]


class Now(FunctionElement[float]):
    """In a statement: the moment at which it runs, as UTC wall-clock seconds since 1970.

    SQLite asks the clock of the machine, which is the database's since all its users are on that machine; to the millisecond.
    """

    type = Float()
    inherit_cache = True


def now(connection: Connection) -> float:
    """The database's clock."""
    return connection.execute(select(Now())).scalar_one()


@compiles(Now)
def _of_sqlite(element: Now, compiler: Any, **_: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(Now, "postgresql")
def _of_postgres(element: Now, compiler: Any, **_: Any) -> str:
    return "CAST(extract(epoch FROM clock_timestamp()) AS DOUBLE PRECISION)"
