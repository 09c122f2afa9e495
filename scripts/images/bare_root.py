"""Copies what a Python environment needs of its machine into an empty root: `bare_root.py ROOT ENVIRONMENT`.

The interpreter with its standard library, the C library and whatever else extension modules are linked to (as `ldd` tells),
certificates, users. Nothing else: no shell, no package manager. The environment itself is copied by who calls this.
"""

import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

_NOT_RUN = ("site-packages", "dist-packages", "test", "distutils", "idlelib", "ensurepip", "lib2to3", "tkinter", "turtledemo")
_NOT_LOADED = ("_curses", "_dbm", "_gdbm", "_tkinter", "nis", "ossaudiodev", "readline")
_FILES = (
    "/etc/ld.so.cache",
    "/etc/mime.types",
    "/etc/os-release",
    "/etc/ssl/certs/ca-certificates.crt",
    "/usr/share/zoneinfo/UTC",
)
_LINKED_FOLDERS = ("/bin", "/lib", "/lib64", "/sbin")
_WRITTEN = (
    ("etc/passwd", "root:x:0:0:root:/root:/sbin/nologin\nsparring:x:10001:10001:sparring:/cache:/sbin/nologin\n"),
    ("etc/group", "root:x:0:\nsparring:x:10001:\n"),
    ("etc/nsswitch.conf", "hosts: files dns\n"),
)


def libraries(binary: Path) -> set[Path]:
    """The shared libraries that the loader would bring in for `binary`, outside of its own folder."""
    told = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, check=False).stdout
    words = (word for line in told.splitlines() for word in line.split())
    return {Path(word) for word in words if word.startswith("/") and not word.endswith(":")}


def standard_library() -> list[Path]:
    """Every file of it that can be imported."""
    root = Path(sysconfig.get_path("stdlib"))
    kept = [entry for entry in root.iterdir() if entry.name not in _NOT_RUN and not entry.name.startswith("config-")]
    files = [file for entry in kept for file in (entry.rglob("*") if entry.is_dir() else (entry,)) if file.is_file()]
    return [file for file in files if not (file.parent.name == "lib-dynload" and file.name.startswith(_NOT_LOADED))]


def extension_modules(files: Iterable[Path]) -> list[Path]:
    """Those of the files that are shared objects."""
    return [file for file in files if ".so" in file.suffixes]


def copy(file: Path, root: Path) -> None:
    """Copy a file to where it really lies, followed through linked folders, but under `root`."""
    target = root / (file.parent.resolve() / file.name).relative_to("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(file, target)


def make(root: Path, environment: Path) -> None:
    """Fill `root`. The interpreter stands where the environment's own link to it points."""
    for folder in map(Path, _LINKED_FOLDERS):
        if folder.is_symlink():
            root.mkdir(parents=True, exist_ok=True)
            (root / folder.relative_to("/")).symlink_to(folder.readlink())
    interpreter = (environment / "bin" / "python").resolve()
    files = standard_library()
    binaries = [interpreter, *extension_modules(files), *extension_modules(environment.rglob("*"))]
    needed = {library for binary in binaries for library in libraries(binary) if not library.is_relative_to(environment)}
    for file in {interpreter, *files, *needed, *(Path(name) for name in _FILES if Path(name).is_file())}:
        copy(file, root)
    for name, text in _WRITTEN:
        (root / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    make(Path(sys.argv[1]), Path(sys.argv[2]))
