"""Where the files of a judge lie, and what its configs say. No weights are read here.

Two layouts are known: llm-blender/PairRM (its config names the backbone, which holds tokenizer and shape) and
llm-blender/PairRM-hf (all in one folder).
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from sparring_judge.engines.models.folder import find_model
from sparring_judge.engines.models.hub import hub_folder
from sparring_judge.engines.models.revision import files_digest, revision
from sparring_judge.engines.pairrm.encoder_config import EncoderConfig
from sparring_judge.precision import Precision
from sparring_judge.tasks.units import Limits
from sparring_shared.errors import CheckpointMismatch
from sparring_shared.records import JudgeRef
from sparring_shared.run_config import explain

_TOKENIZERS = ("tokenizer.json", "spm.model")
_SMALL = ("config.json", *_TOKENIZERS)
C = TypeVar("C", bound=BaseModel)


class PairRankerConfig(BaseModel):
    """config.json of llm-blender/PairRM: `model_name` is the backbone, a folder or a hub id."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    ranker_type: Literal["pairranker"]
    model_name: str
    source_maxlength: int = 1224
    candidate_maxlength: int = 412


@dataclass(frozen=True)
class JudgeFiles:
    """All that is needed to load a judge; `tag_ids` are those that the config states, `backbone` the folder or hub id that it
    names, each None if it does not."""

    ref: JudgeRef
    weights: tuple[Path, ...]
    tokenizer: Path
    encoder: EncoderConfig
    limits: Limits
    tag_ids: tuple[int, int, int] | None
    backbone: str | None = None

    def ref_of(self, engine: str, limits: Limits, precision: Precision | None) -> JudgeRef:
        """Which judge it is under these limits and in this precision."""
        others = {
            "tokenizer": files_digest([self.tokenizer]),
            "encoder": self.encoder.model_dump(),
            "limits": asdict(limits),
            "precision": precision or "auto",
        }
        return JudgeRef(name=self.ref.name, revision=revision(self.ref.revision, **others), engine=engine)


def find_judge(model: str, at: str | None) -> JudgeFiles:
    """Locate a judge in a folder or on the hub, there at a revision.

    Raises NotFound for a model that is nowhere, CheckpointMismatch for a folder that holds no PairRM judge.
    """
    found = find_model(model, at, _SMALL)
    return _described(found.folder, found.ref, found.weights)


def _described(folder: Path, ref: JudgeRef, weights: tuple[Path, ...]) -> JudgeFiles:
    config = _read(folder / "config.json")
    if "ranker_type" in config:
        ranker = _parse(PairRankerConfig, config, folder)
        near = _near(folder, ranker.model_name)
        backbone = near or hub_folder(ranker.model_name, None, _SMALL)
        limits = Limits(ranker.source_maxlength, ranker.candidate_maxlength)
        encoder = _parse(EncoderConfig, _read(backbone / "config.json"), backbone)
        return JudgeFiles(ref, weights, _tokenizer(folder, backbone), encoder, limits, None, str(near or ranker.model_name))
    if "source_prefix_id" in config:
        tag_ids = (config["source_prefix_id"], config["cand1_prefix_id"], config["cand2_prefix_id"])
        encoder = _parse(EncoderConfig, config, folder)
        return JudgeFiles(ref, weights, _tokenizer(folder), encoder, Limits(1224, 412), tag_ids)
    raise CheckpointMismatch(
        f"{folder / 'config.json'} is of neither llm-blender/PairRM (ranker_type) nor PairRM-hf (source_prefix_id); "
        "give the folder of a PairRM judge."
    )


def _near(folder: Path, name: str) -> Path | None:
    """The backbone's folder, if it is a path from the judge's folder, the one around it or the working folder."""
    starts = (folder, folder.resolve().parent, Path())
    return next((start / name for start in starts if (start / name / "config.json").is_file()), None)


def _tokenizer(*folders: Path) -> Path:
    for folder in folders:
        for name in _TOKENIZERS:
            if (folder / name).is_file():
                return folder / name
    raise CheckpointMismatch(f"There is no tokenizer.json or spm.model in {' or '.join(map(str, folders))}; copy it there.")


def _read(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_bytes())
    except (OSError, ValueError):
        raise CheckpointMismatch(f"{path} is missing or not JSON; give the folder of a PairRM judge.") from None
    if not isinstance(config, dict):
        raise CheckpointMismatch(f"{path} holds no JSON object; give the folder of a PairRM judge.")
    return config


def _parse(kind: type[C], config: dict[str, Any], folder: Path) -> C:
    try:
        return kind.model_validate(config)
    except ValidationError as error:
        why = explain(error.errors())
        raise CheckpointMismatch(f"{folder / 'config.json'} is not one that this judge can run: {why}") from None
