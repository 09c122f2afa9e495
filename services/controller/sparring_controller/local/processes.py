"""Local processes under supervisord: started together, restarted when they end, and ended without leaving an orphan.

supervisord runs as our child in a session of its own, with an environment that names the folder it works for. By these two
marks every process is found again, whoever was killed: `end` sweeps up what supervisord did not.
"""

import configparser
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast
from xmlrpc.client import ServerProxy

import psutil
from pydantic import ValidationError
from supervisor.xmlrpc import SupervisorTransport

from sparring_controller.local.programs import Program, supervisor_config
from sparring_shared.artifacts import write_json
from sparring_shared.errors import Broken, Conflict
from sparring_shared.records import Record

MARK = "SPARRING_PROCESSES"
_GONE = (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess)


class ProgramState(Record):
    """What became of a program: its state in supervisord's words, and its process."""

    name: str
    state: str
    pid: int

    @property
    def ended(self) -> bool:
        """Not running, though it may be about to be again."""
        return self.state in ("EXITED", "FATAL", "BACKOFF")


class _Process(Record):
    """A process by its id and start time, so that another that got the same id later is not taken for it."""

    pid: int
    started: float

    def alive(self) -> psutil.Process | None:
        """The process itself, if it still runs."""
        try:
            process = psutil.Process(self.pid)
            # Start times are seconds since boot plus the boot time, which moves a little with the clock.
            running = abs(process.create_time() - self.started) < 2 and process.status() != psutil.STATUS_ZOMBIE
        except _GONE:
            return None
        return process if running else None


class _Running(Record):
    """What `processes.json` holds; `owner` is the command in the foreground, None when it left them running."""

    supervisor: _Process
    owner: _Process | None
    socket: str
    booted: float

    def session(self) -> int | None:
        """The session of all that supervisord started, None if the id may stand for another by now."""
        same_boot = abs(psutil.boot_time() - self.booted) < 60
        reused = psutil.pid_exists(self.supervisor.pid) and self.supervisor.alive() is None
        return self.supervisor.pid if same_boot and not reused else None


class Processes:
    """The processes of one folder: `supervisord.conf`, `supervisord.log`, `processes.json` and `logs/<program>.log`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._record = self.folder / "processes.json"
        self._said_before: dict[str, int] = {}

    def start(self, programs: Sequence[Program], environment: Mapping[str, str], *, owned: bool) -> None:
        """Start supervisord with the programs; `environment` goes to them by inheritance and is written nowhere.

        `owned` means that they end with this process; another command that finds them without it may end them.
        Raises Conflict while processes of the folder are still running.
        """
        if self._marked():
            raise Conflict(f"Processes of {self.folder} are still running; end them with `sparring down`.")
        (self.folder / "logs").mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        self._said_before = {path.name: path.stat().st_size for path in (self.folder / "logs").glob("*.log")}
        try:
            self._start(programs, environment, owned)
        except BaseException:
            self.end()
            raise

    def _start(self, programs: Sequence[Program], environment: Mapping[str, str], owned: bool) -> None:
        socket = Path(tempfile.mkdtemp(prefix="sparring-")) / "supervisor.sock"  # its path must be shorter than 108 bytes
        config = self.folder / "supervisord.conf"
        with config.open("w", encoding="utf-8") as stream:
            supervisor_config(socket, programs).write(stream)
        with (self.folder / "supervisord.log").open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", "supervisor.supervisord", "--nodaemon", "--configuration", str(config)],
                env={**os.environ, **environment, MARK: str(self.folder)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
                cwd=self.folder,
            )
        running = _Running(
            supervisor=_this(child.pid),
            owner=_this(os.getpid()) if owned else None,
            socket=str(socket),
            booted=psutil.boot_time(),
        )
        write_json(self._record, running.model_dump(mode="json"))
        self._await_supervisor(child, socket)

    def _await_supervisor(self, child: subprocess.Popen[bytes], socket: Path) -> None:
        deadline = time.monotonic() + 30
        while not socket.exists():
            if child.poll() is not None or time.monotonic() > deadline:
                raise Broken(f"supervisord did not start; see {self.folder / 'supervisord.log'}.")
            time.sleep(0.05)

    def states(self) -> dict[str, ProgramState]:
        """All programs by name. Raises Broken if supervisord does not answer."""
        running = self._read()
        if running is None or running.supervisor.alive() is None:
            raise Broken("The services' supervisor was ended; start the services again.")
        proxy = ServerProxy("http://127.0.0.1", transport=SupervisorTransport(None, None, f"unix://{running.socket}"))
        try:
            listed = cast(list[dict[str, Any]], proxy.supervisor.getAllProcessInfo())
        except (OSError, EOFError) as error:
            raise Broken(
                f"The services' supervisor does not answer ({type(error).__name__}); end it with `sparring down`."
            ) from None
        return {item["name"]: ProgramState(name=item["name"], state=item["statename"], pid=item["pid"]) for item in listed}

    def log_tail(self, name: str, lines: int = 15) -> str:
        """The end of what a program has written since `start`."""
        path = self.folder / "logs" / f"{name}.log"
        said = path.read_bytes() if path.is_file() else b""
        before = self._said_before.get(path.name, 0)
        text = said[before if before <= len(said) else 0 :].decode(errors="replace")  # a shorter one began anew
        return "\n".join(text.splitlines()[-lines:])

    def supervised(self) -> bool:
        """Whether supervisord runs."""
        running = self._read()
        return running is not None and running.supervisor.alive() is not None

    def ended_within(self, seconds: float) -> bool:
        """Wait for supervisord to end, for that long at most; whether it did."""
        running = self._read()
        supervisor = running.supervisor.alive() if running else None
        if supervisor is None:
            return True
        ended, _ = psutil.wait_procs([supervisor], timeout=seconds)
        return bool(ended)

    def abandoned(self) -> bool:
        """Whether processes run that nobody keeps: their supervisor or the command that owned them was killed."""
        running = self._read()
        if running is None or running.supervisor.alive() is None:
            return bool(self._marked())
        return running.owner is not None and running.owner.alive() is None

    def end(self) -> int:
        """End everything that was started for the folder; returns how many processes had outlived their supervisor."""
        running = self._read()
        supervisor = running.supervisor.alive() if running else None
        if supervisor is not None:
            patience = max((int(value) for value in self._stop_seconds()), default=0) * 2 + 30
            supervisor.terminate()
            _, alive = psutil.wait_procs([supervisor], timeout=patience)
            for process in alive:
                process.kill()
        outlived = self._marked()
        _terminate(outlived)
        if running is not None:
            shutil.rmtree(Path(running.socket).parent, ignore_errors=True)
        self._record.unlink(missing_ok=True)
        return len(outlived)

    def _stop_seconds(self) -> Iterator[str]:
        config = configparser.RawConfigParser()
        config.read(self.folder / "supervisord.conf", encoding="utf-8")
        return (config[section]["stopwaitsecs"] for section in config.sections() if section.startswith("program:"))

    def _read(self) -> _Running | None:
        try:
            return _Running.model_validate_json(self._record.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def _marked(self) -> list[psutil.Process]:
        """All processes of this folder, supervisord among them.

        By their environment, or by their session: one that renames itself, as vLLM's do, overwrites the former.
        """
        running = self._read()
        ours = set() if running is None else {running.session()}
        sessions: dict[psutil.Process, int] = {}
        for process in psutil.process_iter():
            with suppress(*_GONE, ProcessLookupError, PermissionError):
                if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                    continue
                sessions[process] = os.getsid(process.pid)
                if process.environ().get(MARK) == str(self.folder):
                    ours.add(sessions[process])
        return [process for process, session in sessions.items() if session in ours]


def _terminate(processes: list[psutil.Process]) -> None:
    for process in processes:
        _signal(process, signal.SIGTERM)
    _, alive = psutil.wait_procs(processes, timeout=10)
    for process in alive:
        _signal(process, signal.SIGKILL)
    psutil.wait_procs(alive, timeout=5)


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    with suppress(*_GONE):
        process.send_signal(number)


def _this(pid: int) -> _Process:
    return _Process(pid=pid, started=psutil.Process(pid).create_time())
