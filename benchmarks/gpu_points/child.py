"""The process of one function: `python -m gpu_points.child MODULE:NAME FINDINGS.json '{"setting": {}, "arguments": {}}'`."""

import ctypes
import json
import signal
import sys
from importlib import import_module
from pathlib import Path

from .processes import CANNOT_RUN
from .records import CannotRun, Notebook, Setting

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """End when the process that waits for this one does, even when that is killed (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main(function: str, result: str, told: str) -> int:
    """Call the function; what it lacks is said on standard error."""
    die_with_parent()
    module, _, name = function.partition(":")
    described = json.loads(told)
    try:
        vars(import_module(module))[name](Setting(**described["setting"]), Notebook(Path(result)), **described["arguments"])
    except CannotRun as lack:
        print(lack, file=sys.stderr)
        return CANNOT_RUN
    except ModuleNotFoundError as absent:
        if (absent.name or "").startswith(("sparring_", "gpu_points", "judge_sides")):
            raise
        print(f"It needs the Python package {absent.name}, which is not installed here.", file=sys.stderr)
        return CANNOT_RUN
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
