"""What supervisord is told of the programs that it keeps."""

import configparser
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from sparring_shared.records import Record

# After that many ends in a row supervisord would give a program up, and each of them waits a second longer for the next start.
_FOREVER = "1000000000"


class Program(Record):
    """One process to keep: `Program(name="judge", command=("python", "-m", "sparring_judge"))`.

    It gets SIGTERM and `stop_seconds` to end. `last` programs are started first and ended after all others. Whatever its exit
    code, it is started again: at once, or if it ended soon after its start, one second later each time.
    """

    name: str
    command: tuple[str, ...]
    stop_seconds: int = 20
    last: bool = False


def supervisor_config(socket: Path, programs: Sequence[Program]) -> configparser.RawConfigParser:
    """The INI file of supervisord, which runs in its folder while the programs run where the command was given.

    `%` is its escape character; names of files are relative, as it expands some of them once and some twice.
    """
    config = configparser.RawConfigParser()
    config["supervisord"] = {
        "logfile": "supervisord.log",
        "logfile_maxbytes": "1MB",
        "logfile_backups": "1",
        "pidfile": "supervisord.pid",
        "childlogdir": "logs",
        "silent": "true",
    }
    config["unix_http_server"] = {"file": str(socket), "chmod": "0700"}
    config["rpcinterface:supervisor"] = {"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"}
    for program in programs:
        config[f"program:{program.name}"] = {
            "command": _escaped(shlex.join(program.command)),
            "directory": _escaped(str(Path.cwd())),
            "stdout_logfile": f"logs/{program.name}.log",
            "stdout_logfile_maxbytes": "10MB",
            "stdout_logfile_backups": "2",
            "redirect_stderr": "true",
            "autorestart": "true",
            "startsecs": "10",
            "startretries": _FOREVER,
            "stopwaitsecs": str(program.stop_seconds),
            # The main process ends its own children; what is left of the group when time is up is killed with it.
            "killasgroup": "true",
        }
    config["eventlistener:stragglers"] = {
        "command": _escaped(shlex.join((sys.executable, "-m", "sparring_controller.local.stragglers"))),
        "events": "PROCESS_STATE_EXITED,PROCESS_STATE_BACKOFF",
        "stderr_logfile": "logs/stragglers.log",
        "autorestart": "true",
        "startsecs": "0",  # until it counts as started it hears of nothing
        "startretries": _FOREVER,
        "priority": "5",
    }
    # One group is ended at once, groups one after another.
    config["group:services"] = {"programs": ",".join(p.name for p in programs if not p.last), "priority": "20"}
    if any(program.last for program in programs):
        config["group:last"] = {"programs": ",".join(p.name for p in programs if p.last), "priority": "10"}
    return config


def _escaped(value: str) -> str:
    return value.replace("%", "%%")
