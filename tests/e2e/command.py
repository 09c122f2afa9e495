"""The command `sparring` as a user gives it."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def sparring(*arguments: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    """Run it in the repository's root."""
    command = [str(Path(sys.executable).with_name("sparring")), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False)
