"""`sparring doctor`: the Sparring of a runs folder, with its services up, down, or left behind."""

import io
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ports import free_port
from rich.console import Console

from sparring_controller.cli import main
from sparring_controller.doctor.examination import Finding
from sparring_controller.local.programs import Program
from sparring_controller.local.redis_server import redis_program
from sparring_controller.local.services import SERVICES, LocalServices
from sparring_controller.local.settings_here import redis_here, settings_here
from sparring_controller.terminal.examining import examine_here, findings_table, installation, processes
from sparring_shared.artifacts import write_json
from sparring_shared.run_config import JudgeConfig

MODELS = Path(__file__).parents[3] / "models"
POLICY, JUDGE = str(MODELS / "demo-policy"), JudgeConfig(model=str(MODELS / "demo-judge"))


@pytest.fixture(autouse=True)
def own_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("SPARRING_")]:
        monkeypatch.delenv(name)
    for name in SERVICES:
        monkeypatch.setenv(f"SPARRING_{name.upper()}_PORT", str(free_port()))


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalServices]:
    services = LocalServices(tmp_path / "runs")
    yield services
    services.end()


def by_name(findings: list[Finding]) -> dict[str, tuple[str, str]]:
    return {found.name: (found.level, found.says) for found in findings}


def test_a_machine_on_which_nothing_runs_yet(tmp_path: Path) -> None:
    found = by_name(examine_here(tmp_path / "runs", POLICY, JUDGE, None))
    assert {name for name, (level, _) in found.items() if level == "wrong"} == set()
    assert set(found) == {
        *("python", "GPUs", "memory", "runs folder", "disk", "database", "policy", "judge's model", "ports"),
        *("controller", "generator", "judge", "trainer", "clocks", "processes", "Redis"),
    }
    assert found["processes"] == ("ok", f"None are running for {tmp_path / 'runs'}.")
    assert found["Redis"][1].startswith("None is running; `sparring up` starts /")
    assert list(tmp_path.iterdir()) == []


def test_settings_that_are_wrong_hide_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARRING_JUDGE_PORT", "x")
    found = by_name(examine_here(tmp_path, POLICY, JUDGE, None))
    assert found["settings"] == ("wrong", "SPARRING_JUDGE_PORT is x; set it to a port from 1 to 65535.")
    assert found["processes"][0] == "ok"
    monkeypatch.setenv("SPARRING_LEASE_SECONDS", "-1")
    found = by_name(examine_here(tmp_path, POLICY, JUDGE, None))
    assert found["settings"] == ("wrong", "SPARRING_LEASE_SECONDS: Input should be greater than 0 (it is '-1').")


def test_services_that_are_up_are_asked_where_they_listen(local: LocalServices, monkeypatch: pytest.MonkeyPatch) -> None:
    ports = {name: free_port() for name in SERVICES}
    redis, url = redis_program(local.processes.folder / "redis", free_port())
    kept = Program(name="kept", command=("sleep", "60"))
    write_json(local.processes.folder / "endpoints.json", {name: f"http://127.0.0.1:{port}" for name, port in ports.items()})
    assert redis_here(local) is None
    local.processes.start([redis, kept], {}, owned=True)
    assert redis_here(local) == url
    monkeypatch.setenv("SPARRING_JUDGE_URLS", "other=http://b:8002,default=http://c:8002")
    settings = settings_here(local)
    assert (settings.redis_url.get_secret_value(), settings.generator_url) == (url, f"http://127.0.0.1:{ports['generator']}")
    assert settings.judges == {"default": f"http://127.0.0.1:{ports['judge']}", "other": "http://b:8002"}
    here = installation(local, POLICY, JUDGE, None)
    assert [(service.name, service.wanted) for service in here.services] == [
        *(("controller", True), ("generator", True), ("judge", True), ("judge other", True), ("trainer", True)),
    ]
    assert here.ports == ()
    assert url not in repr(here)


def once(it_is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not it_is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_processes_that_do_not_run(local: LocalServices) -> None:
    local.processes.start([Program(name="kept", command=(sys.executable, "-c", "raise SystemExit(2)"))], {}, owned=True)
    logs = local.processes.folder / "logs"
    once(lambda: local.processes.states()["kept"].ended)
    assert processes(local)[0].says == f"kept: ended, and are started again and again; see why in {logs}."


def test_processes_that_a_killed_command_left(local: LocalServices) -> None:
    local.processes.start([Program(name="kept", command=("sleep", "60"))], {}, owned=True)
    once(lambda: bool(local.processes.states()["kept"].pid))
    supervisor = json.loads((local.processes.folder / "processes.json").read_text())["supervisor"]["pid"]
    os.kill(supervisor, signal.SIGKILL)
    os.waitpid(supervisor, 0)
    [left] = processes(local)
    assert left.says == "A command that was killed has left processes behind; end them with `sparring down`."


def test_the_table_shows_all_and_takes_nothing_for_markup() -> None:
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(findings_table([Finding(name="disk", level="warning", says="[red]Little[/red] is free; make room.")]))
    assert isinstance(console.file, io.StringIO)
    rows = [line.split("│") for line in console.file.getvalue().splitlines() if "│" in line]
    assert [[cell.strip() for cell in row[1:-1]] for row in rows] == [
        ["warning", "disk", "[red]Little[/red] is free; make room."]
    ]


def ended(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int | str | None, str]:
    monkeypatch.setattr(sys, "argv", ["sparring", "doctor", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code, capfd.readouterr().out


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    given = ("--json", "--model", POLICY, "--judge", str(JUDGE.model))
    code, said = ended(monkeypatch, capfd, *given)
    assert code == 0
    assert {"name": "processes", "level": "ok", "says": "None are running for runs."} in json.loads(said)["findings"]
    monkeypatch.setenv("SPARRING_REDIS_URL", f"redis://:hush@127.0.0.1:{free_port()}")
    code, said = ended(monkeypatch, capfd, "--model", POLICY)
    assert code == 1
    assert "hush" not in said
    assert "SPARRING_REDIS_URL" in said


def test_a_run_config_names_the_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "run.toml"
    config.write_text(
        f'name = "a"\n[policy]\nmodel = "{POLICY}"\n[prompts]\nsource = "p.jsonl"\n[judge]\nengine = "pairrm"\n'
        f'model = "{tmp_path}"\n'
    )
    code, said = ended(monkeypatch, capfd, str(config), "--json", "--runs-dir", str(tmp_path / "runs"))
    told = {each["name"]: each["says"] for each in json.loads(said)["findings"]}
    assert code == 1
    assert told["judge's model"] == f"{tmp_path} holds no config.json; give the whole folder of a Hugging Face model."
    assert told["policy"].startswith(f"{POLICY}: llama, ")
