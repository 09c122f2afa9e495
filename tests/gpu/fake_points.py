"""Points that end in all the ways in which one can end."""

import os
import signal
import subprocess
import sys
import time

from gpu_points.records import CannotRun, Notebook, Setting


def fine(setting: Setting, notebook: Notebook) -> None:
    notebook.add(device=setting.device, half=0.5, endless=float("inf"))


def dies(_: Setting, notebook: Notebook) -> None:
    left_behind = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    notebook.add(left_behind=left_behind.pid)
    os.kill(os.getpid(), signal.SIGKILL)


def hangs(_: Setting, __: Notebook) -> None:
    time.sleep(600)


def fails(_: Setting, notebook: Notebook) -> None:
    notebook.add(before=1)
    raise RuntimeError("the card is on fire\nCompile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.\n")


def lacks(_: Setting, __: Notebook) -> None:
    raise CannotRun("It needs a card with two heads.")


def needs_a_package(_: Setting, __: Notebook) -> None:
    import no_such_package  # noqa: F401  # pyright: ignore[reportMissingImports]
