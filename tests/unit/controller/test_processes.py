"""Real processes under the real supervisord, with small programs in the place of services."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from sparring_controller.local.processes import Processes
from sparring_controller.local.programs import Program
from sparring_shared.errors import Conflict

# Has a child of its own, as vLLM has, and says on what variable and which child it runs.
PARENT = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("child", child.pid, "word", os.environ["WORD"], flush=True)
time.sleep(600)
"""


def program(name: str, code: str, *, last: bool = False) -> Program:
    return Program(name=name, command=(sys.executable, "-c", code), stop_seconds=5, last=last)


def until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not reached():
        assert time.monotonic() < deadline, "not reached in 30 s"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    started = Processes(tmp_path / "100% of it")
    yield started
    started.end()


def start_parent(processes: Processes, *, owned: bool = True) -> tuple[int, int]:
    """Start two programs; the ids of the parent and its child."""
    processes.start(
        [program("parent", PARENT), program("redis", "import time; time.sleep(600)", last=True)], {"WORD": "zinc"}, owned=owned
    )
    until(lambda: "word" in processes.log_tail("parent"))
    return processes.states()["parent"].pid, int(processes.log_tail("parent").split()[-3])


def test_started_programs_get_their_environment_and_are_ended_with_their_children(processes: Processes) -> None:
    parent, child = start_parent(processes)
    redis = processes.states()["redis"].pid
    assert processes.log_tail("parent").split()[-1] == "zinc"
    assert "zinc" not in (processes.folder / "supervisord.conf").read_text()
    assert processes.folder.stat().st_mode & 0o777 == 0o700
    assert not processes.abandoned()
    processes.end()
    assert [pid for pid in (parent, child, redis) if alive(pid)] == []
    assert not processes.supervised()


def test_started_twice_is_a_conflict(processes: Processes) -> None:
    parent, _ = start_parent(processes)
    with pytest.raises(Conflict, match="still running"):
        processes.start([program("other", "pass")], {}, owned=True)
    assert alive(parent)


def test_a_killed_program_is_started_again(processes: Processes) -> None:
    parent, child = start_parent(processes)
    os.kill(parent, signal.SIGKILL)
    until(lambda: processes.states()["parent"].pid not in (0, parent) and processes.log_tail("parent").count("word") == 2)
    until(lambda: not alive(child))  # what was left of its group ended with it


def test_whatever_its_exit_code_a_program_is_started_again(processes: Processes) -> None:
    codes = [0, 1, 2, 70]
    programs = [program(f"ends-{code}", f"print('sparring: no model'); raise SystemExit({code})") for code in codes]
    processes.start(programs, {}, owned=True)
    for code in codes:
        until(lambda code=code: processes.log_tail(f"ends-{code}").count("sparring: no model") >= 2)
    until(lambda: all(processes.states()[f"ends-{code}"].ended for code in codes))


def test_what_a_killed_supervisor_leaves_is_found_and_ended(processes: Processes) -> None:
    parent, child = start_parent(processes)
    os.kill(psutil.Process(parent).ppid(), signal.SIGKILL)
    until(lambda: not processes.supervised())
    later = Processes(processes.folder)
    assert alive(parent)
    assert later.abandoned()
    assert later.end() >= 3
    assert [pid for pid in (parent, child) if alive(pid)] == []
    assert not later.abandoned()


def test_what_was_left_running_on_purpose_is_not_abandoned(processes: Processes) -> None:
    start_parent(processes, owned=False)
    assert not Processes(processes.folder).abandoned()
    assert not processes.ended_within(0.1)
