"""The Hugging Face hub: repositories fetched once into its cache, and used from there. Only this module talks to it."""

from pathlib import Path
from typing import Any, Literal

import yaml
from huggingface_hub import metadata_load, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from sparring_shared.errors import InvalidInput


def fetched(repository: str, kind: Literal["model", "dataset"], revision: str | None, files: list[str]) -> Path:
    """The folder of a repository, named after its commit, with those of its files that match one of the patterns.

    Without a network it is what the cache holds. Raises InvalidInput, with the reason alone, if it cannot be had.
    """
    try:
        return Path(snapshot_download(repository, repo_type=kind, revision=revision, allow_patterns=files))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InvalidInput(reason.rstrip(".")) from None


def kept(repository: str) -> Path | None:
    """The folder of a model that the cache holds, whole or not; None if it does not. Asks nobody."""
    try:
        return Path(snapshot_download(repository, local_files_only=True))
    except (HFValidationError, LocalEntryNotFoundError, OSError):
        return None


def card(folder: Path) -> dict[str, Any]:
    """What a repository's README.md says in its head; empty without one. Raises InvalidInput, with the reason alone."""
    try:
        return metadata_load(folder / "README.md") or {}
    except FileNotFoundError:
        return {}
    except (ValueError, yaml.YAMLError) as error:
        raise InvalidInput(f"its README.md cannot be read: {str(error).splitlines()[0]}") from None
