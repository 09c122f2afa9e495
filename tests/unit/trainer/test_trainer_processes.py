import os
import subprocess
import sys
from pathlib import Path

import psutil

from sparring_trainer.job_folder import ProcessRef
from sparring_trainer.processes import command, environment, is_alive, last_words, stop
from sparring_trainer.settings import TrainerSettings


def test_one_process_is_plain_python_and_more_go_through_accelerate() -> None:
    assert command(Path("/j"), 1) == [sys.executable, "-m", "sparring_trainer.job", "/j"]
    several = command(Path("/j"), 4)
    assert several[:4] == [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu"]
    assert several[several.index("--num_processes") + 1] == "4"
    assert several[-3:] == ["-m", "sparring_trainer.job", "/j"]


def test_a_job_sees_one_gpu_per_process_and_never_the_hub() -> None:
    one = environment(TrainerSettings(processes=1, threads=3), {"PATH": "/bin", "CUDA_VISIBLE_DEVICES": "2,3"})
    assert (one["PATH"], one["CUDA_VISIBLE_DEVICES"], one["OMP_NUM_THREADS"], one["HF_HUB_OFFLINE"]) == ("/bin", "2", "3", "1")

    two = environment(TrainerSettings(processes=2, threads=None), {"CUDA_VISIBLE_DEVICES": "2,3"})
    assert two["CUDA_VISIBLE_DEVICES"] == "2,3"
    assert "OMP_NUM_THREADS" not in two


def test_a_process_is_known_by_its_start_and_ended_with_its_children() -> None:
    script = "import subprocess, sys; print(subprocess.Popen(['sleep', '100']).pid, flush=True); sys.stdin.read()"
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stdin=subprocess.PIPE)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    reference = ProcessRef(pid=parent.pid, created=psutil.Process(parent.pid).create_time())

    assert is_alive(reference)
    assert not is_alive(reference.model_copy(update={"created": reference.created - 60}))
    stop(reference)
    assert not is_alive(reference)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    stop(reference)
    parent.communicate()


def test_last_words_say_how_a_job_ended(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    killed = "The training job was killed (signal 9); the machine may be out of memory. PUT it again to go on."
    assert last_words(-9, log) == killed
    assert last_words(-11, log) == "The training job was killed (signal 11). PUT it again to go on."
    assert last_words(1, log) == "The training job ended before it was done"
    log.write_text("loading\nImportError: no module named torch\nbye\n")
    assert last_words(1, log) == "The training job ended before it was done: ImportError: no module named torch"
    assert last_words(None, log).endswith("no module named torch")


def test_an_id_that_no_process_has_is_not_alive() -> None:
    assert not is_alive(ProcessRef(pid=2**22 + os.getpid(), created=0.0))
