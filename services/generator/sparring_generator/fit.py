"""Does a checkpoint fit the running model? Answered from its files, before any weight is touched.

vLLM itself only warns of tensors that a checkpoint lacks, and keeps the config and tokenizer that it was started with.
"""

import json
import struct
from pathlib import Path
from typing import Any, TypeGuard

from transformers import AutoConfig

from sparring_shared.errors import CheckpointMismatch, InvalidInput
from sparring_shared.records import Record

# How a checkpoint was written or is trained, not what it computes; vLLM keeps the special tokens it was started with.
_NOT_COMPUTED = {"_name_or_path", "transformers_version", "dtype", "torch_dtype", "use_cache"}
_NOT_COMPUTED |= {"bos_token_id", "eos_token_id", "pad_token_id"}
# Others follow from these, and would tell less.
_NAMED_FIRST = ("architectures", "hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size", "quantization_config")
_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"


class ModelShape(Record):
    """What must be equal for weights to be exchanged.

    `config` is config.json with transformers' defaults filled in; `tensors` maps names to shapes; `vocabulary` is the model's
    and the added tokens of tokenizer.json, None without that file.
    """

    config: dict[str, Any]
    tensors: dict[str, tuple[int, ...]]
    vocabulary: dict[str, Any] | None


def _computed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _computed(inner) for key, inner in value.items() if key not in _NOT_COMPUTED}
    return value


def _config(folder: Path, trust_remote_code: bool) -> dict[str, Any]:
    try:
        return _computed(AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code).to_dict())
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointMismatch(f"{folder} has no config.json that transformers can read: {reason}") from None


def _header(path: Path) -> dict[str, Any]:
    """The JSON header of a safetensors file: 8 bytes with its length, little-endian, then the header, then the data."""
    size = path.stat().st_size
    try:
        with path.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            header = json.loads(stream.read(min(length, size)))
        tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
        whole = 8 + length + max((entry["data_offsets"][1] for entry in tensors.values()), default=0) == size
    except (struct.error, ValueError, KeyError):
        raise InvalidInput(f"{path} is not a safetensors file; write the checkpoint again.") from None
    if not whole:
        raise InvalidInput(f"{path} is cut short or too long; write the checkpoint again.")
    return tensors


def _weight_files(folder: Path) -> list[Path]:
    """The files that vLLM and transformers load; others may lie beside them, such as Mistral's `consolidated.safetensors`."""
    index = folder / _INDEX
    if index.is_file():
        try:
            files = sorted(folder / name for name in set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise InvalidInput(f"{index} is not an index of weights; write the checkpoint again.") from None
        missing = [path.name for path in files if not path.is_file()]
        if missing:
            raise InvalidInput(f"{index} names {missing[0]}, which is missing; write the checkpoint again.")
        return files
    return [folder / _WEIGHTS] if (folder / _WEIGHTS).is_file() else sorted(folder.glob("*.safetensors"))


def _tensors(folder: Path) -> dict[str, tuple[int, ...]]:
    return {
        name: tuple(entry["shape"])
        for path in _weight_files(folder)
        for name, entry in _header(path).items()
        if not name.endswith("inv_freq")  # old checkpoints carry these; they follow from the config
    }


def _vocabulary(folder: Path) -> dict[str, Any] | None:
    path = folder / "tokenizer.json"
    if not path.is_file():
        return None
    try:
        tokenizer = json.loads(path.read_text(encoding="utf-8"))
        added = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
        return {"model": tokenizer["model"].get("vocab"), "added": added}
    except (ValueError, KeyError, TypeError):
        raise InvalidInput(f"{path} is not a tokenizer; write the checkpoint again.") from None


def read_shape(folder: Path, *, trust_remote_code: bool = False) -> ModelShape:
    """The shape of the checkpoint in `folder`. Raises InvalidInput where its files cannot be read."""
    return ModelShape(config=_config(folder, trust_remote_code), tensors=_tensors(folder), vocabulary=_vocabulary(folder))


def check_fit(running: ModelShape, offered: ModelShape, folder: Path) -> None:
    """Raises CheckpointMismatch that names the first difference and both values."""
    _compare_configs(folder, offered.config, running.config)
    tied = {"lm_head.weight"} if running.config.get("tie_word_embeddings") else set()
    for name, shape in running.tensors.items():
        if name not in tied:
            _compare(folder, f"the shape of {name}", offered.tensors.get(name), shape)
    if running.vocabulary is not None and offered.vocabulary not in (None, running.vocabulary):
        raise CheckpointMismatch(f"{folder} does not fit: its tokenizer.json holds another vocabulary.")


def _compare_configs(folder: Path, offered: dict[str, Any], running: dict[str, Any], within: str = "") -> None:
    """A key that only one has is another transformers' own: those that this one knows, and vLLM computes by, stand in both."""
    for name in [*_NAMED_FIRST, *sorted(running.keys() & offered.keys())]:
        theirs, ours = offered.get(name), running.get(name)
        if _is_config(theirs) and _is_config(ours):
            _compare_configs(folder, theirs, ours, f"{within}{name}.")
        else:
            _compare(folder, within + name, theirs, ours)


def _is_config(value: Any) -> TypeGuard[dict[str, Any]]:
    """Whether a value is a config in a config, with its defaults filled in."""
    return isinstance(value, dict) and "model_type" in value


def _compare(folder: Path, name: str, offered: Any, running: Any) -> None:
    if offered != running:
        message = f"{folder} does not fit: {name} is {offered}, but the running model has {running}."
        raise CheckpointMismatch(message, {"field": name, "checkpoint": offered, "running": running})
