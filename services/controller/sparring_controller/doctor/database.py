"""The database of runs: whether it answers, can be written to, and is one that this Sparring can use."""

from sparring_controller.doctor.examination import Finding, Level
from sparring_controller.store.database import DatabaseTrouble
from sparring_controller.store.inspection import Absent, DatabaseFacts, facts
from sparring_shared.errors import InvalidInput

_SECONDS = 3.0


def database(url: str) -> list[Finding]:
    """The database at this URL."""
    try:
        return [verdict(facts(url, _SECONDS))]
    except Absent as error:
        return [_is("ok", error.message)]
    except InvalidInput as error:
        return [_is("wrong", error.message)]
    except DatabaseTrouble as error:
        said = str(error).splitlines()[0]
        return [_is("wrong", f"It does not answer ({said}); start it, or correct SPARRING_DATABASE_URL.")]


def verdict(found: DatabaseFacts) -> Finding:
    """What is to be said of a database that says this of itself."""
    if found.refuses is not None:
        return _is("wrong", f"{found.kind} takes nothing in ({found.refuses}); end what holds it, or give the right to write.")
    if found.logged is False:
        return _is("warning", f"{found.kind} is not in journal mode wal; the controller makes it so when it starts.")
    if found.tables == "newer":
        return _is("wrong", f"{found.kind} has the tables of a newer Sparring; use that one, or name another database.")
    if found.tables == "older":
        return _is("warning", f"{found.kind} has the tables of an older Sparring; the controller changes them when it starts.")
    journal = ", journal mode wal" if found.logged else ""
    return _is("ok", f"{found.kind} answers and can be written to{journal}.")


def _is(level: Level, says: str) -> Finding:
    return Finding(name="database", level=level, says=says)
