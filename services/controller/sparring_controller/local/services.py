"""All services as processes of this machine: which they are, where they listen, and when they are ready."""

import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import httpx
from pydantic import ValidationError

from sparring_controller.local.processes import Processes
from sparring_controller.local.programs import Program
from sparring_controller.local.redis_server import redis_program, require_redis
from sparring_shared.artifacts import write_json
from sparring_shared.errors import Broken, Conflict, ErrorBody, InvalidInput
from sparring_shared.http import port_is_free
from sparring_shared.records import Record
from sparring_shared.run_config import JudgeConfig
from sparring_shared.settings import FolderSettings
from sparring_shared.wire.judge import WITHOUT_MODEL

SERVICES = {"controller": 8000, "generator": 8001, "judge": 8002, "trainer": 8003}
WORKERS = {"rounds": "rounds,train", "generate": "generate,evaluate", "judge": "judge"}
DEMO_POLICY = "models/demo-policy"
DEMO_JUDGE = "models/demo-judge"

Awaited = Mapping[str, str]
"""What is still missing, by service: `{"generator": "does not answer yet"}`."""


class Endpoints(Record):
    """Where each service listens; `.services/endpoints.json` while they run."""

    controller: str
    generator: str
    judge: str
    trainer: str

    def in_one_line(self) -> str:
        """For people: `controller http://127.0.0.1:8000, generator ...`."""
        return ", ".join(f"{name} {url}" for name, url in self.model_dump().items())


class LocalServices:
    """The services of one runs folder; what they leave lies in its `.services`."""

    def __init__(self, runs_dir: Path) -> None:
        self.runs_dir = runs_dir
        self.processes = Processes(runs_dir / ".services")
        self._endpoints = self.processes.folder / "endpoints.json"

    def endpoints(self) -> Endpoints | None:
        """Where they listen, None if they are not running."""
        if not self.processes.supervised():
            return None
        try:
            return Endpoints.model_validate_json(self._endpoints.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def end_abandoned(self) -> bool:
        """End what an earlier command left behind when it was killed; whether there was anything."""
        abandoned = self.processes.abandoned()
        if abandoned:
            self.processes.end()
        return abandoned

    def start(self, model: str, judge: JudgeConfig, *, free_ports: bool, owned: bool) -> Endpoints:
        """Start everything, after checking models and ports; `owned` services end with this process.

        Raises InvalidInput for a missing model, a port in use or no Redis, Conflict when they already run.
        """
        running = self.endpoints()
        if running is not None:
            raise Conflict(
                f"Sparring is already up ({running.in_one_line()}); end it with `sparring down --runs-dir {self.runs_dir}`, "
                "or choose another --runs-dir."
            )
        require_model(model, "--model")
        require_judge(judge)
        endpoints, environment = _listening(free_ports)
        programs = [_service(name) for name in SERVICES] + [_worker(name, queues) for name, queues in WORKERS.items()]
        url = os.environ.get("SPARRING_REDIS_URL")
        if url:
            require_redis(url)
        else:
            redis, url = redis_program(self.processes.folder / "redis", _free_ports(1)[0])
            programs.insert(0, redis)
        environment |= _shared_environment(self.runs_dir.resolve(), model, judge) | {"SPARRING_REDIS_URL": url}
        write_json(self._endpoints, endpoints.model_dump())
        self.processes.start(programs, environment, owned=owned)
        return endpoints

    def await_ready(self, endpoints: Endpoints, show: Callable[[Awaited], None]) -> None:
        """Return once every `/readyz` says so. Raises Broken as soon as one of the processes ends instead."""
        first: dict[str, int] = {}
        with httpx.Client(timeout=5) as http:
            while True:
                for name, program in self.processes.states().items():
                    restarted = program.pid and first.setdefault(name, program.pid) != program.pid
                    if program.ended or restarted:
                        raise self._not_started(name)
                awaited = {name: reason for name, url in endpoints.model_dump().items() if (reason := _missing(http, url))}
                show(awaited)
                if not awaited:
                    return
                time.sleep(0.5)

    def end(self) -> int:
        """End everything; returns how many processes had outlived their supervisor."""
        outlived = self.processes.end()
        self._endpoints.unlink(missing_ok=True)
        return outlived

    def _not_started(self, name: str) -> Broken:
        tail = self.processes.log_tail(name)
        log = self.processes.folder / "logs" / f"{name}.log"
        said = [line.removeprefix("sparring: ") for line in tail.splitlines() if line.startswith("sparring: ")]
        if said:
            return Broken(f"The {name} did not start: {said[-1]}")
        return Broken(f"The {name} did not start; the end of its log is above, the whole in {log}.", tail)


def require_model(model: str, option: str) -> None:
    """Raises InvalidInput, naming the option or config key to change, for a folder that is missing or holds no model.

    A hub id is looked up by the service that loads it.
    """
    folder = Path(model).expanduser()
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise InvalidInput(f"{model} holds no config.json; give {option} the folder of a Hugging Face model.")
    # `models/typo` could be a hub id, but not where there is a folder `models`.
    meant_as_folder = (
        model.startswith((".", "/", "~")) or model.count("/") > 1 or (folder.parent != Path() and folder.parent.is_dir())
    )
    if not folder.is_dir() and meant_as_folder:
        raise InvalidInput(f"There is no model at {model}; correct {option}.")


def require_judge(judge: JudgeConfig) -> None:
    """Raises InvalidInput for a judge that nobody has named, or whose folder is missing or holds no model."""
    if judge.model is None and judge.engine is None:
        raise InvalidInput("The run names no judge; set judge.model in its config, or give --judge, a folder or a hub id.")
    if judge.model is not None and judge.engine not in ("openai", *WITHOUT_MODEL):
        require_model(judge.model, "judge.model or --judge")


def _missing(http: httpx.Client, url: str) -> str | None:
    try:
        answer = http.get(f"{url}/readyz")
    except httpx.TransportError:
        return "does not answer yet"
    if answer.is_success:
        return None
    try:
        return ErrorBody.model_validate_json(answer.content).error.message
    except ValidationError:
        return f"answers {answer.status_code}"


def _service(name: str) -> Program:
    return Program(name=name, command=(sys.executable, "-m", f"sparring_{name}"))


def _worker(name: str, queues: str) -> Program:
    celery = (sys.executable, "-m", "celery", "-A", "sparring_controller.celery_app", "worker", "--loglevel", "INFO")
    # Longer than Celery's soft shutdown, in which a stage under way may end.
    return Program(name=f"worker-{name}", command=(*celery, "-Q", queues, "-c", "1", "-n", f"{name}@%h"), stop_seconds=30)


def _shared_environment(runs_dir: Path, model: str, judge: JudgeConfig) -> dict[str, str]:
    """What every process gets; a local model's own folder is added to those that checkpoints may be loaded from.

    What the run does not say of its judge is left to the variables that the command was given.
    """
    roots = [
        *FolderSettings().checkpoint_roots[1:],
        *(Path(name) for name in (model, judge.model or "") if Path(name).is_dir()),
    ]
    named = {"ENGINE": judge.engine, "MODEL": judge.model, "REVISION": judge.revision}
    return {f"SPARRING_JUDGE_{name}": value for name, value in named.items() if value is not None} | {
        "SPARRING_RUNS_DIR": str(runs_dir),
        "SPARRING_TRAINER_DIR": os.environ.get("SPARRING_TRAINER_DIR") or str(runs_dir / ".trainer"),
        "SPARRING_MODEL_ROOTS": ":".join(str(root.resolve()) for root in roots),
        # The API serves whoever gave the command, on this machine: any file that they can read.
        "SPARRING_PROMPT_ROOTS": os.environ.get("SPARRING_PROMPT_ROOTS") or "/",
        "SPARRING_GENERATOR_MODEL": model,
        "SPARRING_JUDGE_KEPT": os.environ.get("SPARRING_JUDGE_KEPT") or str(runs_dir / ".judgements.db"),
        # Celery's warm shutdown on SIGTERM would wait for a stage of any length.
        "REMAP_SIGTERM": "SIGQUIT",
    }


def address(name: str) -> tuple[str, int]:
    """Host and port at which a service is to listen. Raises InvalidInput for a variable that names no port."""
    variable = f"SPARRING_{name.upper()}_PORT"
    value = os.environ.get(variable) or str(SERVICES[name])
    if not value.isdecimal() or not 0 < int(value) < 65536:
        raise InvalidInput(f"{variable} is {value}; set it to a port from 1 to 65535.")
    return os.environ.get(f"SPARRING_{name.upper()}_HOST") or "127.0.0.1", int(value)


def reached(host: str, port: int) -> str:
    """The URL at which this machine reaches what listens there."""
    inside = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)
    return f"http://{inside}:{port}"


def _listening(free_ports: bool) -> tuple[Endpoints, dict[str, str]]:
    """Host and port of each service as URLs and as variables. Raises InvalidInput for a port that cannot be had."""
    chosen = dict(zip(SERVICES, _free_ports(len(SERVICES)), strict=True)) if free_ports else {}
    urls: dict[str, str] = {}
    environment: dict[str, str] = {}
    for name in SERVICES:
        prefix = f"SPARRING_{name.upper()}"
        host, port = address(name)
        port = chosen.get(name, port)
        if not port_is_free(host, port):
            raise InvalidInput(
                f"Port {port} on {host} is in use; stop what listens there, set {prefix}_PORT to another, or use --free-ports."
            )
        urls[name] = reached(host, port)
        environment |= {f"{prefix}_HOST": host, f"{prefix}_PORT": str(port)} | _address(name, urls[name])
    if len(set(urls.values())) < len(urls):
        raise InvalidInput("Two services have the same port; set SPARRING_*_PORT to different ones, or use --free-ports.")
    return Endpoints(**urls), environment


def _address(name: str, url: str) -> dict[str, str]:
    """The variable by which the others find a service; the judge's own SPARRING_JUDGE_URL is the endpoint that it may ask."""
    if name != "judge":
        return {f"SPARRING_{name.upper()}_URL": url}
    others = os.environ.get("SPARRING_JUDGE_URLS") or ""
    # The last of a name counts.
    return {"SPARRING_JUDGE_URLS": ",".join(part for part in (others, f"default={url}") if part)}


def _free_ports(count: int) -> list[int]:
    """Ports that nobody has now; all are held until the last is found, so no two are the same."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [taken.getsockname()[1] for taken in sockets]
