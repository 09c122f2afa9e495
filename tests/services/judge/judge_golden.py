"""Outputs of the real llm-blender: ours on the demo judge (`tests/golden`), and others that may lie beside the repository."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golden_checkpoint import DEMO_JUDGE, ROOT, write_blender_layout
from skips import Skip, skip

BESIDE = ROOT.parent / "shared" / "golden" / "pairrm"
LAYOUTS = ("pairrm", "pairrm_hf")


@dataclass(frozen=True)
class Golden:
    """A checkpoint in each layout, and what llm-blender says with it, by group."""

    checkpoints: dict[str, str]
    groups: dict[str, dict[str, Any]]


def golden_set(name: str, folder: Path) -> Golden:
    """`demo` or `beside`, which skips where it is absent; `folder` is empty."""
    if name == "demo":
        return Golden(
            {"pairrm": str(write_blender_layout(folder)), "pairrm_hf": str(DEMO_JUDGE)},
            _groups(ROOT / "tests" / "golden" / "pairrm.json"),
        )
    if not BESIDE.is_dir():
        skip(Skip.DATA_BESIDE, f"{BESIDE} is absent")
    checkpoints = {layout: str(BESIDE / "checkpoint" / layout) for layout in LAYOUTS}
    return Golden(checkpoints, _groups(BESIDE / "golden.json"))


def _groups(path: Path) -> dict[str, dict[str, Any]]:
    return {group["name"]: group for group in json.loads(path.read_text(encoding="utf-8"))["groups"]}
