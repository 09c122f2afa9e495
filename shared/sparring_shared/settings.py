"""Settings of a process, from `SPARRING_*` variables; parameters of a run come only from its run config."""

import os
from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict


class FolderSettings(BaseSettings):
    """Folders that several services share.

    `SPARRING_RUNS_DIR` is the shared run directory. `SPARRING_MODEL_ROOTS` (separated by `:`) lists further folders from
    which checkpoints may be loaded; by default `models` here and the Hugging Face cache. `SPARRING_PROMPT_ROOTS` lists the
    folders from which prompt files may be read; by default the runs folder and the working directory.
    """

    model_config = SettingsConfigDict(env_prefix="SPARRING_", extra="ignore", env_ignore_empty=True)

    runs_dir: Path = Path("runs")
    model_roots: str = ""
    prompt_roots: str = ""

    @property
    def checkpoint_roots(self) -> list[Path]:
        """All folders from which a checkpoint may be loaded."""
        hub = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface")) / "hub"
        extra = [Path(root) for root in self.model_roots.split(":") if root] or [Path("models"), hub]
        return [self.runs_dir, *extra]

    @property
    def prompt_file_roots(self) -> list[Path]:
        """All folders from which a prompt file may be read."""
        return [Path(root) for root in self.prompt_roots.split(":") if root] or [self.runs_dir, Path()]
