"""Version 0 of a run: the base model, found once when the run is made."""

import re
from pathlib import Path

from sparring_controller.rounds.hub import fetched
from sparring_shared.artifacts import weights_digest
from sparring_shared.errors import InvalidInput
from sparring_shared.paths import within
from sparring_shared.run_config import PolicyConfig
from sparring_shared.wire.trainer import CheckpointRef

_HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
_FILES = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt"]


def base_checkpoint(policy: PolicyConfig, roots: list[Path]) -> CheckpointRef:
    """The folder of the base model and the digest of its weights; a hub id is downloaded unless it is there already.

    Raises InvalidInput when there is no such model, or its folder lies outside the `roots`.
    """
    folder = _folder(policy, roots)
    if not (folder / "config.json").is_file():
        raise InvalidInput(f"policy.model: {policy.model} holds no config.json; give the folder of a Hugging Face model.")
    return CheckpointRef(version=0, digest=weights_digest(folder), path=str(folder))


def _folder(policy: PolicyConfig, roots: list[Path]) -> Path:
    if Path(policy.model).is_dir():
        try:
            return within(policy.model, roots)
        except InvalidInput as error:
            raise InvalidInput(f"policy.model: {error.message} Set SPARRING_MODEL_ROOTS to allow another folder.") from None
    if not _HUB_ID.fullmatch(policy.model):
        raise InvalidInput(f"policy.model: there is no folder {policy.model}; give a folder or a Hugging Face hub id.")
    try:
        return fetched(policy.model, "model", policy.revision, _FILES)
    except InvalidInput as error:
        raise InvalidInput(
            f"policy.model: {policy.model} is neither a folder here nor a model that could be had from the hub "
            f"({error.message})."
        ) from None
