"""Outputs of the real llm-blender on a tiny checkpoint, which lie beside the repository on a developer's machine."""

import json
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).parents[3] / ".." / "shared" / "golden" / "pairrm"
LAYOUTS = ("pairrm", "pairrm_hf")


def golden_layout(layout: str) -> str:
    """The checkpoint folder in one layout; skips where it is absent."""
    if not GOLDEN.is_dir():
        pytest.skip(f"{GOLDEN} is absent: the outputs of the real llm-blender are not on this machine")
    return str((GOLDEN / "checkpoint" / layout).resolve())


def golden_group(name: str) -> dict[str, Any]:
    """One group of recorded inputs and outputs; skips where they are absent."""
    golden_layout("pairrm")
    groups = json.loads((GOLDEN / "golden.json").read_text(encoding="utf-8"))["groups"]
    return next(group for group in groups if group["name"] == name)
