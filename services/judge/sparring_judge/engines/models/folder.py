"""A model's folder, given as such or fetched from the hub, and what its weights are called in answers."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sparring_judge.engines.models.hub import hub_folder
from sparring_shared.artifacts import weights_digest
from sparring_shared.errors import CheckpointMismatch
from sparring_shared.records import JudgeRef


@dataclass(frozen=True)
class ModelFolder:
    """Where a model lies; its name and revision are those of the hub, or the folder's name and a digest of the weights."""

    folder: Path
    weights: tuple[Path, ...]
    ref: JudgeRef


def find_model(model: str, revision: str | None, small_files: Sequence[str]) -> ModelFolder:
    """Locate a model in a folder or on the hub; `small_files` are patterns of what is needed besides the weights.

    Raises NotFound for a model that is nowhere, CheckpointMismatch for a folder without weights.
    """
    folder, from_hub = Path(model), not Path(model).is_dir()
    if from_hub:
        folder = hub_folder(model, revision, (*small_files, "*.safetensors"))
        if not any(folder.glob("*.safetensors")):
            folder = hub_folder(model, revision, (*small_files, "pytorch_model*.bin"))
    weights = tuple(sorted(folder.glob("*.safetensors"))) or tuple(sorted(folder.glob("pytorch_model*.bin")))
    if not weights:
        raise CheckpointMismatch(f"{folder} holds no *.safetensors or pytorch_model.bin; give the folder of a judge.")
    name = model if from_hub else folder.resolve().name
    return ModelFolder(folder, weights, JudgeRef(name=name, revision=folder.name if from_hub else _digest(folder, weights)))


def _digest(folder: Path, weights: Sequence[Path]) -> str:
    if weights[0].suffix == ".safetensors":
        return weights_digest(folder)
    digest = hashlib.sha256()
    for path in weights:
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return "sha256:" + digest.hexdigest()
