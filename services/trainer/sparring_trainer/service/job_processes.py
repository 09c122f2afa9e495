"""Starting, recognising and ending the process of a job."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from sparring_shared.errors import Broken, Unavailable
from sparring_trainer.job.folder import TRY_AGAIN, JobFolder, ProcessRef
from sparring_trainer.job.identity import birth_of
from sparring_trainer.settings import TrainerSettings

GRACE_SECONDS = 5.0


def command(folder: Path, settings: TrainerSettings) -> list[str]:
    """The command line of a job on this machine: plain Python for one process in all, `accelerate launch` for more."""
    job = ["-m", "sparring_trainer.job", str(folder)]
    total = settings.machines * settings.processes
    if total == 1:
        return [sys.executable, *job]
    launch = ["-m", "accelerate.commands.launch", "--multi_gpu", "--mixed_precision", "no", "--dynamo_backend", "no"]
    launch += ["--num_machines", str(settings.machines), "--num_processes", str(total)]
    if settings.machines > 1:
        launch += ["--machine_rank", str(settings.machine_rank), "--rdzv_backend", "static"]
        launch += ["--main_process_ip", settings.main_host, "--main_process_port", str(settings.main_port)]
    return [sys.executable, *launch, *job]


def environment(settings: TrainerSettings, inherited: Mapping[str, str]) -> dict[str, str]:
    """Variables of a job: all paths are local, so nothing is looked up on the hub."""
    variables = {**inherited, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONUNBUFFERED": "1"}
    variables["SPARRING_TRAINER_CHECKPOINT_MINUTES"] = str(settings.checkpoint_minutes)
    variables["SPARRING_TRAINER_DEVICE"] = settings.device
    if settings.threads is not None:
        variables["OMP_NUM_THREADS"] = variables["MKL_NUM_THREADS"] = str(settings.threads)
    if settings.processes == 1:
        # With several GPUs in sight the Trainer would split one process over them (DataParallel).
        variables["CUDA_VISIBLE_DEVICES"] = inherited.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    return variables


def start(folder: JobFolder, settings: TrainerSettings, number: int) -> subprocess.Popen[bytes]:
    """Start the job of a folder, its output appended to the folder's log, and write its process down as that start."""
    process = launch(folder, settings, folder.log)
    folder.write_process(ProcessRef(pid=process.pid, birth=birth_of(process.pid) or "", start=number))
    return process


def launch(folder: JobFolder, settings: TrainerSettings, log: Path) -> subprocess.Popen[bytes]:
    """Start this machine's part of a job, its output appended to `log`."""
    with log.open("ab") as output:
        return subprocess.Popen(
            command(folder.root.resolve(), settings),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment(settings, os.environ),
            start_new_session=True,
        )


def is_alive(reference: ProcessRef) -> bool:
    """Whether this very process still runs, and no later one that got the same id."""
    return birth_of(reference.pid) == reference.birth


def stop(pid: int) -> None:
    """End a process and all that it started: SIGTERM, and SIGKILL for what is left after GRACE_SECONDS."""
    try:
        process = psutil.Process(pid)
        # `accelerate launch` gives each of its processes a group of its own, so the family is signalled one by one.
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.send_signal(number)
        _, family = psutil.wait_procs(family, timeout=GRACE_SECONDS)


def kind_of_end(exit_code: int | None) -> str:
    """The type of the error of a job that ended without saying so itself.

    A job whose exit code is not known went down with its service, or while that was down.
    """
    return (Unavailable if exit_code in (None, TRY_AGAIN) else Broken).type


def last_words(exit_code: int | None, log: Path) -> str:
    """One sentence on why a job ended without saying so itself; `exit_code` is None where it is not known."""
    if exit_code is not None and exit_code < 0:
        hint = "; the machine may be out of memory" if exit_code == -signal.SIGKILL else ""
        return f"The training job was killed (signal {-exit_code}){hint}. PUT it again to go on."
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []
    errors = [line.strip() for line in lines if "Error" in line] or [line.strip() for line in lines if line.strip()]
    said = f": {errors[-1]}" if errors else ""
    return f"The training job ended before it was done{said}"
