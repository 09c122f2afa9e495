"""`sparring status` and `sparring doctor` where no service runs: what the database says, and nothing changed."""

import io
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import rows
from rich.console import Console

from sparring_controller.store.database import Database
from sparring_controller.store.schema import migrate
from sparring_controller.terminal import status
from sparring_controller.terminal.status import show_status
from sparring_shared.errors import NotFound, Unavailable


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of an operator, and nothing at the controller's address."""
    for name in [name for name in os.environ if name.startswith("SPARRING_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SPARRING_CONTROLLER_PORT", "1")


# A controller and its worker, killed in the middle: what they had committed lies in the log beside the database.
KILLED = """
import os, sys
sys.path[:0] = [{here!r}]
import json, reports, rows
from sqlalchemy import insert
from sparring_controller.store import runs
from sparring_controller.store.database import Database
from sparring_controller.store.schema import migrate
from sparring_controller.store.tables import stages
database = Database({url!r})
migrate(database)
with database.writing() as connection:
    runs.add(connection, rows.run(requested_rounds=2, error={error!r}))
    base = {{"answers": rows.file(), "report": reports.BASE.model_dump(mode="json")}}
    for row in (rows.stage(0, "evaluate", result=base), rows.stage(1, "prompts"), rows.stage(1, "generate", 0),
                rows.stage(1, "generate", 1, "waiting", error="The [generator] does not answer.")):
        values = row.model_dump()
        connection.execute(insert(stages).values(values | {{
            name: None if values[name] is None else json.dumps(values[name]) for name in ("result", "progress")}}))
os.kill(os.getpid(), 9)
"""


def killed(runs_dir: Path, error: str | None = None) -> str:
    runs_dir.mkdir()
    url = f"sqlite:///{runs_dir / 'sparring.db'}"
    script = KILLED.format(here=str(Path(rows.__file__).parent), url=url, error=error)
    assert subprocess.run([sys.executable, "-c", script]).returncode == -9
    assert (runs_dir / "sparring.db-wal").stat().st_size > 0
    return url


def shown(runs_dir: Path, run_id: str | None = None) -> list[str]:
    console = Console(file=io.StringIO(), width=160, color_system=None)
    show_status(runs_dir, run_id, console)
    assert isinstance(console.file, io.StringIO)
    return [" ".join(line.replace("│", "|").split()) for line in console.file.getvalue().splitlines() if "━" not in line]


DOWN = "The services of {} are down, nothing is played; start them with `sparring up`. The database says:"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith("-shm")}


def test_runs_are_told_of_after_everything_was_killed(tmp_path: Path) -> None:
    runs_dir = tmp_path / "runs"
    killed(runs_dir)
    before = contents(runs_dir)
    assert shown(runs_dir)[0] == DOWN.format(runs_dir)
    assert "| small-1 | running | 0 of 2 | 1970-01-01T00:16:40+00:00 |" in shown(runs_dir)
    lines = shown(runs_dir, "small-1")
    assert lines[:2] == [DOWN.format(runs_dir), "small-1: running, 0 of 2 rounds"]
    assert lines[-7:-1] == [
        "| 1 | prompts | 1 of 1 | 0 | 0 | 2.0 | |",
        "| 1 | generate | 1 of 2 | 0 | 0 | 2.0 | The [generator] does not answer. |",
        "| 1 | judge | 0 of 2 | 0 | 0 | 0.0 | |",
        "| 1 | select | 0 of 2 | 0 | 0 | 0.0 | |",
        "| 1 | train | 0 of 1 | 0 | 0 | 0.0 | |",
        "| 1 | evaluate | 0 of 1 | 0 | 0 | 0.0 | |",
    ]
    with pytest.raises(NotFound):
        shown(runs_dir, "other-1")
    assert contents(runs_dir) == before


def test_a_database_that_was_closed_is_read_without_leaving_a_file(tmp_path: Path) -> None:
    url = killed(tmp_path / "runs")
    database = Database(url)
    migrate(database)
    database.close()
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["sparring.db"]
    assert "small-1: running, 0 of 2 rounds" in shown(tmp_path / "runs", "small-1")
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["sparring.db"]


def test_another_database_is_named_by_its_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARRING_DATABASE_URL", killed(tmp_path / "elsewhere", "The [judge] was exchanged."))
    lines = shown(tmp_path / "runs", "small-1")
    assert "small-1: running, 0 of 2 rounds" in lines
    assert lines[-1] == "The [judge] was exchanged."


NONE = "No controller is running for {}; start one with `sparring up`."


def complaint(runs_dir: Path) -> str:
    with pytest.raises(Unavailable) as error:
        shown(runs_dir)
    return error.value.message


def test_databases_that_say_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs_dir = tmp_path / "runs"
    none = NONE.format(runs_dir)
    assert complaint(runs_dir) == none
    killed(runs_dir)
    with closing(sqlite3.connect(runs_dir / "sparring.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
        connection.commit()
    older = "Its database is of an older Sparring; start this one, which changes the tables, or use that one."
    assert complaint(runs_dir) == f"{none} {older}"
    monkeypatch.setattr(status, "_SECONDS", 0.4)
    with closing(sqlite3.connect(runs_dir / "sparring.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")
        assert complaint(runs_dir) == f"{none} Its database does not answer either (OperationalError)."
    (runs_dir / "sparring.db").write_text("no database")
    assert complaint(runs_dir) == f"{none} Its database does not answer either (DatabaseError)."
