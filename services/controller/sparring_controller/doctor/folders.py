"""Folders that runs are written to: there, writable, and kept by a file system that keeps its promises."""

import os
from pathlib import Path
from uuid import uuid4

from sparring_controller.doctor.examination import Finding


def folder(name: str, path: Path) -> list[Finding]:
    """Write a small file here, sync, rename, read and remove it; a folder that is not there yet must only be possible."""
    if not path.exists():
        above = next(each for each in path.absolute().parents if each.exists())
        if above.is_dir() and os.access(above, os.W_OK | os.X_OK):
            return [Finding(name=name, level="ok", says=f"{path} is not there yet; it is made when it is first needed.")]
        says = f"{path} is not there and cannot be made in {above}; make it, or choose another folder."
        return [Finding(name=name, level="wrong", says=says)]
    if not path.is_dir():
        return [Finding(name=name, level="wrong", says=f"{path} is no folder; remove it, or choose another folder.")]
    try:
        _probe(path)
    except OSError as error:
        says = f"{path} cannot be written to ({error.strerror}); give this user the right to, or choose another folder."
        return [Finding(name=name, level="wrong", says=says)]
    apart = _elsewhere(path)
    if apart:
        names = ", ".join(apart)
        says = f"{path} holds what lies on other file systems ({names}), whose free space is not counted; move it."
        return [Finding(name=name, level="warning", says=says)]
    return [Finding(name=name, level="ok", says=f"{path} can be written to, synced and renamed in.")]


def _probe(path: Path) -> None:
    """Raises OSError when a file cannot take the place of another at once, or is not what was written."""
    first, second = (path / f".probe-{uuid4().hex}" for _ in range(2))
    text = uuid4().hex
    try:
        second.touch()
        with first.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        first.replace(second)
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if second.read_text(encoding="utf-8") != text:
            raise OSError(5, "what was written is not what is read")
    finally:
        first.unlink(missing_ok=True)
        second.unlink(missing_ok=True)


def _elsewhere(path: Path) -> list[str]:
    """Folders in it that a mount or a link puts on another file system."""
    device = path.stat().st_dev
    return sorted(each.name for each in path.iterdir() if each.is_dir() and each.stat().st_dev != device)
