"""Checks side by side, each with its own time, and what is said of Redis, database, services and clocks."""

import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis
from ports import free_port
from pydantic import SecretStr

from sparring_controller.doctor import clocks, services
from sparring_controller.doctor.checks import all_checks, exit_code
from sparring_controller.doctor.clocks import of_service
from sparring_controller.doctor.database import database
from sparring_controller.doctor.examination import Check, Finding, Level, as_json, examine, redacted
from sparring_controller.doctor.installation import Installation, Service, asked_services
from sparring_controller.doctor.redis_answers import answering, verdict
from sparring_controller.local.redis_server import redis_program
from sparring_controller.settings import read_settings
from sparring_controller.store.database import Database
from sparring_controller.store.schema import migrate
from sparring_shared.errors import InvalidInput


def found(level: Level, says: str) -> list[Finding]:
    return [Finding(name="a", level=level, says=says)]


def broken() -> list[Finding]:
    raise ZeroDivisionError("division by zero")


def refused() -> list[Finding]:
    raise InvalidInput("It is wrong; change it.")


def test_checks_do_not_wait_for_each_other_and_none_hides_another() -> None:
    never = threading.Event()
    began = time.monotonic()
    findings = examine(
        [
            Check("hangs", lambda: found("ok", str(never.wait())), seconds=0.2),
            Check("hangs too", lambda: found("ok", str(never.wait())), seconds=0.3),
            Check("breaks", broken),
            Check("refuses", refused),
            Check("a", lambda: found("ok", "It is well.")),
        ]
    )
    assert time.monotonic() - began < 10
    assert [(each.name, each.level, each.says) for each in findings] == [
        ("hangs", "wrong", "There was no answer in 0.2 s: what is asked here hangs; see to it, or restart it."),
        ("hangs too", "wrong", "There was no answer in 0.3 s: what is asked here hangs; see to it, or restart it."),
        (
            "breaks",
            "wrong",
            "This could not be looked at (ZeroDivisionError: division by zero); see to it, or report it as a bug of Sparring.",
        ),
        ("refuses", "wrong", "It is wrong; change it."),
        ("a", "ok", "It is well."),
    ]
    never.set()


def test_only_what_is_wrong_counts_and_machines_read_it() -> None:
    assert exit_code(found("ok", "") + found("warning", "")) == 0
    assert exit_code(found("ok", "") + found("wrong", "")) == 1
    assert as_json(found("ok", "So.")) == (
        '{\n  "findings": [\n    {\n      "name": "a",\n      "level": "ok",\n      "says": "So."\n    }\n  ]\n}'
    )


def test_no_password_is_told() -> None:
    text = "redis://:hush@host:1/0 and postgresql://me:0123abc%40@db/x?password=hush&sslmode=on, http://host:8002/v1 a@b"
    assert redacted(text) == "redis://***@host:1/0 and postgresql://***@db/x?password=***&sslmode=on, http://host:8002/v1 a@b"
    [told] = examine([Check("a", lambda: found("wrong", "No redis://:hush@host."))])
    assert told.says == "No redis://***@host."


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    program, url = redis_program(tmp_path / "redis", free_port())
    server = subprocess.Popen(program.command, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        with redis.Redis.from_url(url) as client:
            while True:
                try:
                    client.ping()
                    break
                except redis.ConnectionError:
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
        yield url
    finally:
        server.terminate()
        server.wait()


def redis_says(url: str) -> tuple[str, str]:
    [told] = answering(SecretStr(url))
    return told.level, told.says


def test_a_redis_that_answers(redis_url: str) -> None:
    at = f"Redis at 127.0.0.1:{redis_url.rpartition(':')[2].removesuffix('/0')}"
    level, says = redis_says(redis_url)
    assert (level, says.split(": version ")[0]) == ("ok", f"{at} answers")
    with redis.Redis.from_url(redis_url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    assert redis_says(redis_url) == (
        "wrong",
        f"{at} forgets messages when memory is short (maxmemory-policy allkeys-lru); set it to noeviction.",
    )
    with redis.Redis.from_url(redis_url) as client:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", "100kb")
    assert redis_says(redis_url)[1].endswith(" of 0.1 MiB) and takes no messages soon; raise its maxmemory.")
    level, says = redis_says(redis_url.replace("://:", "://:not"))
    assert (level, says.split(" (")[0]) == ("wrong", f"{at} refuses us")
    assert says.endswith("); correct the password in SPARRING_REDIS_URL.")


def test_a_redis_that_does_not_answer(silent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparring_controller.doctor.redis_answers._SECONDS", 0.2)
    for port in (silent, free_port()):
        level, says = redis_says(f"redis://:hush@127.0.0.1:{port}/0")
        assert (level, says.split(" (")[0]) == ("wrong", f"Redis at 127.0.0.1:{port} does not answer")
        assert says.endswith("); start it, or correct SPARRING_REDIS_URL.")
        assert "hush" not in says
    assert redis_says("http://:hush@host")[1].startswith("SPARRING_REDIS_URL cannot be read (Redis URL must specify one")


def test_replicas_and_old_redises() -> None:
    info = {"redis_version": "7.2.4", "maxmemory_policy": "noeviction", "maxmemory": 0, "used_memory": 5, "role": "master"}
    assert verdict("R", info).says == "R answers: version 7.2.4, maxmemory-policy noeviction."
    replica = verdict("R", info | {"role": "slave"})
    assert replica.says == "R is a replica and takes no messages; name the main one in SPARRING_REDIS_URL."
    old = verdict("R", info | {"redis_version": "5.0.14"})
    assert old.level == "warning"
    assert old.says == "R is version 5.0.14, but the oldest that Sparring is tested with is 6.2; take a newer."


def database_says(url: str) -> tuple[str, str]:
    [told] = database(url)
    return told.level, told.says


def test_a_database_is_looked_at_and_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "spar ring.db"
    url = f"sqlite:///{file}"
    assert database_says(url) == ("ok", f"There is no database at {file} yet; the controller makes it when it starts.")
    assert not file.exists()
    kept = Database(url)
    migrate(kept)
    assert database_says(url) == (
        "ok",
        f"SQLite {sqlite3.sqlite_version} answers and can be written to, journal mode wal.",
    )
    kept.close()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert database_says(url)[0] == "ok"
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_databases_that_cannot_be_used(tmp_path: Path, silent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparring_controller.doctor.database._SECONDS", 0.2)
    file = tmp_path / "sparring.db"
    url, kind = f"sqlite:///{file}", f"SQLite {sqlite3.sqlite_version}"
    kept = Database(url)
    migrate(kept)
    with kept.writing():
        assert database_says(url) == (
            "wrong",
            f"{kind} takes nothing in (database is locked); end what holds it, or give the right to write.",
        )
    kept.close()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
        connection.commit()
        assert database_says(url) == (
            "warning",
            f"{kind} has the tables of an older Sparring; the controller changes them when it starts.",
        )
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
        assert database_says(url) == (
            "wrong",
            f"{kind} has the tables of a newer Sparring; use that one, or name another database.",
        )
    file.write_text("no database")
    level, says = database_says(url)
    assert (level, says.split(" (")[0]) == ("wrong", "It does not answer")
    assert says.endswith("); start it, or correct SPARRING_DATABASE_URL.")
    level, says = database_says("nonsense")
    assert (level, says.split(":")[0]) == ("wrong", "SPARRING_DATABASE_URL names no database that can be used here")


def service_says(service: Service) -> tuple[str, str]:
    looks = {"judge": lambda: services.judge(service, None, None), "trainer": lambda: services.trainer(service)}
    [told] = looks[service.kind]()
    return told.level, told.says


def test_services_that_do_not_answer(silent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "_SECONDS", 0.2)
    nobody = f"http://127.0.0.1:{free_port()}"
    assert service_says(Service("judge", nobody, wanted=False)) == (
        "ok",
        "It is not running; `sparring up` and `sparring run` start it.",
    )
    assert service_says(Service("judge", nobody, wanted=True)) == (
        "wrong",
        f"The judge at {nobody} does not answer (ConnectError); is it running? See its log, start it, or correct its address.",
    )
    hangs = f"http://127.0.0.1:{silent}"
    assert service_says(Service("trainer", hangs, wanted=True)) == (
        "wrong",
        f"The trainer at {hangs} does not answer (ReadTimeout); is it running? See its log, start it, or correct its address.",
    )


def test_how_fast_a_judge_was() -> None:
    metrics = (
        "# TYPE sparring_judge_pairs_total counter\nsparring_judge_pairs_total 90.0\nsparring_judge_compute_seconds_sum 4.5\n"
    )
    assert services.speed(metrics) == "20.0 ordered pairs a second (90 so far)"
    assert services.speed("") == "nothing computed yet"


def test_clocks() -> None:
    assert clocks.verdict({"judge": 0.4, "trainer": -2.9}).says == "This machine and judge, trainer agree within 3 s."
    off = clocks.verdict({"judge": 0.4, "database": -40.2, "trainer": 7.0})
    assert off.level == "warning"
    assert off.says == (
        "Clocks differ: beside this machine's that of the database is 40 s behind, that of the trainer is 7 s ahead; "
        "synchronise them (NTP), or times of runs and logs mislead."
    )


def test_clocks_that_cannot_be_read_are_left_out(silent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clocks, "_PATIENCE", 0.2)
    read = {"judge": of_service(f"http://127.0.0.1:{silent}"), "database": lambda: 9.0, "trainer": lambda: None}
    assert clocks.clocks(read)[0].says.startswith("Clocks differ: beside this machine's that of the database is 9 s ahead;")


def test_a_whole_installation_that_hangs_is_told_of(tmp_path: Path, silent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("SPARRING_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(services, "_SECONDS", 0.2)
    monkeypatch.setattr(clocks, "_PATIENCE", 0.2)
    monkeypatch.setattr("sparring_controller.doctor.redis_answers._SECONDS", 0.2)
    url = f"http://127.0.0.1:{silent}"
    settings = read_settings(
        runs_dir=tmp_path, redis_url=f"redis://:hush@127.0.0.1:{silent}", generator_url=url, judge_url=url, trainer_url=url
    )
    here = Installation(settings, settings.redis_url, asked_services(settings, up=True))
    findings = examine(all_checks(here))
    assert [each.name for each in findings if each.level == "wrong"] == ["Redis", "generator", "judge", "trainer"]
    assert exit_code(findings) == 1
    assert "hush" not in as_json(findings)


def test_a_container_looks_around_without_the_libraries_of_the_command_line(tmp_path: Path) -> None:
    script = (
        "import sys\nfor name in ('typer', 'rich', 'psutil', 'supervisor', 'matplotlib', 'torch'): sys.modules[name] = None\n"
        "import runpy; runpy.run_module('sparring_controller.doctor', run_name='__main__', alter_sys=True)"
    )
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "SPARRING_RUNS_DIR": str(tmp_path),
        "SPARRING_REDIS_URL": f"redis://:hush@127.0.0.1:{port}",
        **{f"SPARRING_{name}_URL": f"http://127.0.0.1:{port}" for name in ("GENERATOR", "JUDGE", "TRAINER")},
    }
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    assert [line.split()[:2] for line in done.stdout.splitlines() if line.startswith("wrong")] == [
        ["wrong", "Redis:"],
        ["wrong", "generator:"],
        ["wrong", "judge:"],
        ["wrong", "trainer:"],
    ]
    assert "hush" not in done.stdout
    assert list(tmp_path.iterdir()) == []
