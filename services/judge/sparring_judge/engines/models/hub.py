"""Folders of models on the Hugging Face hub; the one module that talks to it."""

from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from sparring_shared.errors import NotFound


def hub_folder(repo: str, revision: str | None, files: Sequence[str]) -> Path:
    """Download `files` of a hub model, or find them in the cache; the folder is named by the commit.

    Raises NotFound with one sentence when the hub has no such model or revision, or cannot be reached.
    """
    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=list(files)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        at = f" at revision {revision}" if revision else ""
        raise NotFound(
            f"There is no folder {repo}, and the Hugging Face hub gave no model {repo}{at} ({type(error).__name__}); "
            "give the folder of a judge, or check the id and the network."
        ) from None
