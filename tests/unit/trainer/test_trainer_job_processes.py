"""Processes of jobs: how one is recognised, whatever the clock does, and how it ended is known, however it ended."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from skips import Skip, because

from sparring_trainer.job.folder import ProcessRef
from sparring_trainer.job.identity import birth_of
from sparring_trainer.service.job_processes import is_alive, stop

# A hundred threads and some memory take a moment to go, during which the process still has its memory and its locks.
THREADS = """
import threading, time
for _ in range(100):
    threading.Thread(target=time.sleep, args=(100,), daemon=True).start()
memory = bytearray(200_000_000)
print("ready", flush=True)
time.sleep(100)
"""


def reference(pid: int) -> ProcessRef:
    birth = birth_of(pid)
    assert birth is not None
    return ProcessRef(pid=pid, birth=birth, start=1)


def test_a_killed_process_runs_until_its_last_thread_has_ended() -> None:
    child = subprocess.Popen([sys.executable, "-c", THREADS], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    known = reference(child.pid)
    assert is_alive(known)
    os.kill(child.pid, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while is_alive(known):
        assert time.monotonic() < deadline
    assert child.poll() == -signal.SIGKILL
    child.stdout.close()


def test_a_process_is_the_same_however_the_clock_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    known, begun = reference(os.getpid()), psutil.Process().create_time()
    # What psutil says after the clock was set an hour ahead: it adds the time of the boot, which moves with the clock.
    monkeypatch.setattr(psutil.Process, "create_time", lambda *_: begun + 3600)
    assert psutil.Process().create_time() == begun + 3600
    assert is_alive(known)


def test_a_later_process_with_the_same_id_is_another() -> None:
    known = reference(os.getpid())
    boot, _, ticks = known.birth.rpartition(" ")
    assert not is_alive(known.model_copy(update={"birth": f"{boot} {int(ticks) - 1}"}))
    assert not is_alive(known.model_copy(update={"birth": f"another boot {ticks}"}))
    assert birth_of(2**22 + 1) is None


@pytest.mark.skipif(sys.platform != "linux", reason=because(Skip.NOT_FOR_THIS_MACHINE, "reads /proc"))
def test_the_name_of_a_process_may_hold_anything(tmp_path: Path) -> None:
    program = tmp_path / ") Z 1 ("
    program.symlink_to("/bin/sleep")
    child = subprocess.Popen([program, "100"])
    known = reference(child.pid)
    assert int(known.birth.rpartition(" ")[2]) > 0
    stop(child.pid)
    assert not is_alive(known)


def test_a_stopped_process_is_ended_with_what_it_started() -> None:
    child = subprocess.Popen(["sh", "-c", "sleep 100 & echo $!; wait"], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    grandchild = int(child.stdout.readline())
    for pid in (grandchild, child.pid):
        os.kill(pid, signal.SIGSTOP)
    stop(child.pid)
    assert birth_of(child.pid) is None and birth_of(grandchild) is None
    child.stdout.close()
