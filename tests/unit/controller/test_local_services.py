"""Services as local processes: what is checked before they start, and how they become ready or fail to."""

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sparring_controller.local import services as local_services
from sparring_controller.local.programs import Program
from sparring_controller.local.services import Awaited, Endpoints, LocalServices, require_judge, require_model
from sparring_shared.errors import Broken, InvalidInput
from sparring_shared.run_config import JudgeConfig

# Says that it is loading, then that it is ready, in the shapes of a service.
SERVICE = """
import http.server, json, sys
answers = [(503, {"error": {"type": "unavailable", "message": "The model is loading."}}), (200, {"status": "ready"})]
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status, body = answers.pop(0) if len(answers) > 1 else answers[0]
        self.send_response(status); self.end_headers(); self.wfile.write(json.dumps(body).encode())
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def program(name: str, *command: str) -> Program:
    return Program(name=name, command=(sys.executable, *command), stop_seconds=5)


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalServices]:
    services = LocalServices(tmp_path / "runs")
    yield services
    services.end()


def endpoints() -> Endpoints:
    ports = local_services._free_ports(4)
    return Endpoints.model_validate(
        {name: f"http://127.0.0.1:{port}" for name, port in zip(local_services.SERVICES, ports, strict=True)}
    )


def test_ready_once_all_say_so(local: LocalServices, tmp_path: Path) -> None:
    script = tmp_path / "service.py"
    script.write_text(SERVICE)
    where = endpoints()
    urls = where.model_dump()
    local.processes.start([program(name, str(script), url.split(":")[2]) for name, url in urls.items()], {}, owned=True)
    shown: list[Awaited] = []
    local.await_ready(where, shown.append)
    assert shown[-1] == {}
    assert {reason for awaited in shown for reason in awaited.values()} >= {"The model is loading."}


def test_a_service_that_ends_says_why(local: LocalServices) -> None:
    local.processes.start([program("judge", "-c", "print('sparring: no model here.'); raise SystemExit(2)")], {}, owned=True)
    with pytest.raises(Broken) as error:
        local.await_ready(endpoints(), lambda awaited: None)
    assert error.value.message == "The judge did not start: no model here."


def test_what_an_earlier_start_said_is_not_said_again(local: LocalServices) -> None:
    for _ in range(2):
        local.processes.start(
            [program("judge", "-c", "print('sparring: no model here.'); raise SystemExit(2)")], {}, owned=True
        )
        with pytest.raises(Broken, match="no model here"):
            local.await_ready(endpoints(), lambda awaited: None)
        local.end()
    local.processes.start([program("judge", "-c", "import os; os.abort()")], {}, owned=True)
    with pytest.raises(Broken, match="The judge did not start; the end of its log is above"):
        local.await_ready(endpoints(), lambda awaited: None)


def test_a_service_that_crashes_shows_its_log(local: LocalServices) -> None:
    local.processes.start([program("judge", "-c", "raise RuntimeError('engine')")], {}, owned=True)
    with pytest.raises(Broken, match="The judge did not start; the end of its log is above") as error:
        local.await_ready(endpoints(), lambda awaited: None)
    assert error.value.detail.splitlines()[-1] == "RuntimeError: engine"


def test_a_port_in_use_is_named(local: LocalServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for name, free in zip(local_services.SERVICES, local_services._free_ports(4), strict=True):
            monkeypatch.setenv(f"SPARRING_{name.upper()}_PORT", str(port if name == "judge" else free))
        with pytest.raises(InvalidInput) as error:
            local.start(str(tmp_path), JudgeConfig(model=str(tmp_path)), free_ports=False, owned=True)
    assert error.value.message == (
        f"Port {port} on 127.0.0.1 is in use; stop what listens there, set SPARRING_JUDGE_PORT to another, or use --free-ports."
    )
    assert local.endpoints() is None


def test_two_services_on_one_port(local: LocalServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").touch()
    port = local_services._free_ports(1)[0]
    for name in local_services.SERVICES:
        monkeypatch.setenv(f"SPARRING_{name.upper()}_PORT", str(port))
    with pytest.raises(InvalidInput, match="Two services have the same port"):
        local.start(str(tmp_path), JudgeConfig(model=str(tmp_path)), free_ports=False, owned=True)


def test_a_port_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARRING_CONTROLLER_PORT", "http")
    with pytest.raises(InvalidInput, match="SPARRING_CONTROLLER_PORT is http; set it to a port from 1 to 65535"):
        local_services._listening(False)


def test_what_is_set_to_nothing_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SPARRING_JUDGE_HOST", "SPARRING_TRAINER_DIR", "SPARRING_PROMPT_ROOTS"):
        monkeypatch.setenv(name, "")
    where, environment = local_services._listening(True)
    assert where.judge.startswith("http://127.0.0.1:") and environment["SPARRING_JUDGE_HOST"] == "127.0.0.1"
    shared = local_services._shared_environment(Path("/runs"), "gpt2", JudgeConfig(model="gpt2"))
    assert (shared["SPARRING_TRAINER_DIR"], shared["SPARRING_PROMPT_ROOTS"]) == ("/runs/.trainer", "/")


def test_what_a_run_says_of_its_judge_reaches_the_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    named = JudgeConfig(engine="pair-lm", model="org/judge", revision="abc")
    shared = local_services._shared_environment(Path("/runs"), "gpt2", named)
    judge = {name: value for name, value in shared.items() if name.startswith("SPARRING_JUDGE_")}
    assert judge == {
        "SPARRING_JUDGE_ENGINE": "pair-lm",
        "SPARRING_JUDGE_KEPT": "/runs/.judgements.db",
        "SPARRING_JUDGE_MODEL": "org/judge",
        "SPARRING_JUDGE_REVISION": "abc",
    }
    monkeypatch.setenv("SPARRING_JUDGE_URLS", "default=http://a:1,other=http://b:2")
    where, environment = local_services._listening(True)
    # SPARRING_JUDGE_URL would be the endpoint that the judge itself asks.
    assert "SPARRING_JUDGE_URL" not in environment
    assert environment["SPARRING_JUDGE_URLS"] == f"default=http://a:1,other=http://b:2,default={where.judge}"


def test_a_judge_that_nobody_has_named() -> None:
    with pytest.raises(InvalidInput, match="The run names no judge; set judge"):
        require_judge(JudgeConfig())
    with pytest.raises(InvalidInput, match=r"There is no model at \./none; correct judge\.model or --judge"):
        require_judge(JudgeConfig(model="./none"))
    require_judge(JudgeConfig(engine="ensemble"))
    require_judge(JudgeConfig(engine="openai", model="a/b/c"))


def test_free_ports_differ() -> None:
    assert len(set(local_services._free_ports(50))) == 50


def test_models_that_are_there_or_may_be_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models" / "empty").mkdir(parents=True)
    require_model("llm-blender/PairRM", "--judge")
    require_model("gpt2", "--model")
    for missing in ("models/typo", "./typo", "/nowhere/at/all", "a/b/c"):
        with pytest.raises(InvalidInput, match=f"There is no model at {missing}; correct --model"):
            require_model(missing, "--model")
    with pytest.raises(InvalidInput, match=r"models/empty holds no config\.json; give --judge the folder"):
        require_model("models/empty", "--judge")
