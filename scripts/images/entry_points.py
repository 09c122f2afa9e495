"""Writes the entry points of a project beside its packages, where an image finds them: `entry_points.py PYPROJECT FOLDER`."""

import sys
import tomllib
from pathlib import Path
from typing import Any


def write_entry_points(project: dict[str, Any], folder: Path) -> None:
    """`<name>-<version>.dist-info` in `folder`, with as much as `importlib.metadata` needs to find the entry points."""
    name, version = project["name"], project["version"]
    about = folder / f"{name}-{version}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    lines = [
        line
        for group, points in project.get("entry-points", {}).items()
        for line in (f"[{group}]", *(f"{point} = {target}" for point, target in points.items()), "")
    ]
    (about / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    write_entry_points(tomllib.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["project"], Path(sys.argv[2]))
