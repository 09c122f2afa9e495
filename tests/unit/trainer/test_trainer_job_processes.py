"""Processes of jobs: how one ended is known, however it ended."""

import os
import signal
import subprocess
import sys
import time

import psutil

from sparring_trainer.job.folder import ProcessRef
from sparring_trainer.service.job_processes import exit_code, is_alive

# A hundred threads and some memory take a moment to go, during which the process counts as dead and has no exit code.
THREADS = """
import threading, time
for _ in range(100):
    threading.Thread(target=time.sleep, args=(100,), daemon=True).start()
memory = bytearray(200_000_000)
print("ready", flush=True)
time.sleep(100)
"""


def test_a_killed_process_has_its_signal_as_exit_code() -> None:
    child = subprocess.Popen([sys.executable, "-c", THREADS], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    reference = ProcessRef(pid=child.pid, created=psutil.Process(child.pid).create_time())
    assert is_alive(reference)
    os.kill(child.pid, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while is_alive(reference):
        assert time.monotonic() < deadline
    assert exit_code(child) == -signal.SIGKILL
    child.stdout.close()
