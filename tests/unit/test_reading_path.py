"""The reading path of AGENTS.md names what exists, and stays short enough to be read."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
MOST_LINES = 700
ENTRY = re.compile(r"^\d+\. `([^`]+)`(?: \(([^)]+)\))?: ", re.MULTILINE)


def lines_of(path: Path, names: list[str]) -> int:
    """Lines of a file, or of the named functions and classes in it."""
    text = path.read_text(encoding="utf-8")
    if not names:
        return text.count("\n")
    found = {node.name: node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    return sum((found[name].end_lineno or 0) - found[name].lineno + 1 for name in names)


def test_the_reading_path_exists_and_has_at_most_700_lines() -> None:
    section = (ROOT / "AGENTS.md").read_text(encoding="utf-8").partition("## Reading path")[2].partition("\n## ")[0]
    entries = [(ROOT / path, re.findall(r"`(\w+)`", names)) for path, names in ENTRY.findall(section)]
    assert len(entries) == 10
    assert sum(lines_of(path, names) for path, names in entries) <= MOST_LINES
