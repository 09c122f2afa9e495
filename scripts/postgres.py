"""Have the programs of Postgres here, which tests start servers of their own with; installs Debian's as root where it can.

Exit code 0 when they are here, 1 with one sentence when they cannot be had.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

_SETTINGS = Path("/etc/postgresql-common/createcluster.conf")


def here() -> bool:
    """Whether the programs are on PATH, or where Debian puts them."""
    return shutil.which("initdb") is not None or any(Path("/usr/lib/postgresql").glob("*/bin/initdb"))


def install() -> None:
    """Install them, without a server that starts by itself. Raises CalledProcessError."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    get = ["apt-get", "install", "-y", "-qq", "--no-install-recommends"]
    subprocess.run(["apt-get", "update", "-qq"], check=True, env=environment, timeout=300)
    subprocess.run([*get, "postgresql-common"], check=True, env=environment, timeout=600)
    with _SETTINGS.open("a", encoding="utf-8") as settings:
        settings.write("\ncreate_main_cluster = false\n")
    subprocess.run([*get, "postgresql"], check=True, env=environment, timeout=600)


def main() -> int:
    """The exit code."""
    if here():
        return 0
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        print("postgres: there is none, and only root with apt-get can install it.", file=sys.stderr)
        return 1
    try:
        install()
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired, OSError) as error:
        print(f"postgres: it could not be installed: {error}.", file=sys.stderr)
        return 1
    return 0 if here() else 1


if __name__ == "__main__":
    sys.exit(main())
