"""What supervisord is told: every program comes back, whatever it ended with and however often."""

import sys
from pathlib import Path

from sparring_controller.local.programs import Program, supervisor_config


def test_the_settings_of_a_program(tmp_path: Path) -> None:
    judge = Program(name="judge", command=("serve", "100% judge"), stop_seconds=7)
    config = supervisor_config(tmp_path / "socket", [judge, Program(name="redis", command=("redis-server",), last=True)])
    assert dict(config["program:judge"]) == {
        "command": "serve '100%% judge'",
        "directory": str(Path.cwd()),
        "stdout_logfile": "logs/judge.log",
        "stdout_logfile_maxbytes": "10MB",
        "stdout_logfile_backups": "2",
        "redirect_stderr": "true",
        "autorestart": "true",
        "startsecs": "10",
        "startretries": "1000000000",
        "stopwaitsecs": "7",
        "killasgroup": "true",
    }
    assert dict(config["group:services"]) == {"programs": "judge", "priority": "20"}
    assert dict(config["group:last"]) == {"programs": "redis", "priority": "10"}


def test_the_listener_hears_of_every_end_and_comes_back_itself(tmp_path: Path) -> None:
    config = supervisor_config(tmp_path / "socket", [Program(name="judge", command=("serve",))])
    assert dict(config["eventlistener:stragglers"]) == {
        "command": f"{sys.executable} -m sparring_controller.local.stragglers",
        "events": "PROCESS_STATE_EXITED,PROCESS_STATE_BACKOFF",
        "stderr_logfile": "logs/stragglers.log",
        "autorestart": "true",
        "startsecs": "0",
        "startretries": "1000000000",
        "priority": "5",
    }
