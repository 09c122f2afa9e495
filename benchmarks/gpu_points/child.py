"""What the process of one function does: the fork that `processes.play` asks for begins here."""

import multiprocessing
import os
import signal
import sys
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import Any

from .records import CannotRun, Notebook, Setting

CANNOT_RUN = 3
"""The exit code of a function that says what it lacks."""


def main(function: str, setting: Setting, result: Path, log: Path, arguments: dict[str, Any]) -> None:
    """Call the function with its output in `log`; what it lacks is said there too."""
    os.setpgid(0, 0)
    with log.open("ab") as stream:
        for printed in (1, 2):
            os.dup2(stream.fileno(), printed)
    Thread(target=_end_with_parent, daemon=True).start()
    try:
        _call(function, setting, result, arguments)
    except CannotRun as lack:
        print(lack, file=sys.stderr)
        sys.exit(CANNOT_RUN)


def _call(function: str, setting: Setting, result: Path, arguments: dict[str, Any]) -> None:
    module, _, name = function.partition(":")
    try:
        if setting.device == "cuda":
            find_card()
        vars(import_module(module))[name](setting, Notebook(result), **arguments)
    except ModuleNotFoundError as absent:
        if (absent.name or "").startswith(("sparring_", "gpu_points", "judge_sides")):
            raise
        raise CannotRun(f"It needs the Python package {absent.name}, which is not installed here.") from None


def find_card() -> None:
    """Raises CannotRun where torch has no card to use."""
    import torch

    if not torch.cuda.is_available():
        raise CannotRun(f"torch {torch.__version__} finds no CUDA device; give --device cpu, or a driver that fits it.")


def _end_with_parent() -> None:
    """End, with all that was started, when the process that waits for this one does, even when that is killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.killpg(0, signal.SIGKILL)
