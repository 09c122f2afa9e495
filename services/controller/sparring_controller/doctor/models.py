"""Model folders: whether all that a service loads is there and whole, without loading it."""

import json
from math import prod
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from sparring_controller.doctor.examination import Finding
from sparring_controller.doctor.machine import size
from sparring_controller.rounds.hub import kept
from sparring_shared.errors import InvalidInput
from sparring_shared.records import Record

_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "spm.model", "vocab.json", "vocab.txt")
_TEMPLATES = ("chat_template.jinja", "chat_template.json", "additional_chat_templates")
_MOST_HEADER_BYTES = 100_000_000
"""As the format's own reader has it."""


class Weights(Record):
    """How large a model is: parameters, and bytes of its files."""

    parameters: int
    bytes: int


class _Tensor(Record):
    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


_OBJECT = TypeAdapter(dict[str, Any])


def folder_of(model: str) -> Path | None:
    """The folder of a model, or where the hub's cache keeps it; None if it is not on this machine."""
    folder = Path(model).expanduser()
    return folder if folder.is_dir() else kept(model)


def policy_finding(model: str) -> Finding:
    """The base model of runs, which needs a chat template besides."""
    return _finding("policy", model, templated=True)


def judge_finding(model: str) -> Finding:
    """The judge's model."""
    return _finding("judge's model", model, templated=False)


def weights_of(folder: Path) -> Weights:
    """Size of a model, from the heads of its safetensors files. Raises InvalidInput for files that are missing or not whole."""
    files = _weight_files(folder)
    heads = [_head(path) for path in files]
    return Weights(
        parameters=sum(prod(tensor.shape) for head in heads for tensor in head.values()),
        bytes=sum(path.stat().st_size for path in files),
    )


def _finding(name: str, model: str, *, templated: bool) -> Finding:
    folder = folder_of(model)
    if folder is None:
        says = f"{model} is not on this machine; it is fetched from the hub when it is first needed, or name a folder."
        return Finding(name=name, level="warning", says=says)
    try:
        config = _json(folder, "config.json")
        weights = weights_of(folder)
        _require_tokenizer(folder, templated=templated)
    except InvalidInput as error:
        return Finding(name=name, level="wrong", says=error.message)
    kind = config.get("model_type", "a model")
    says = f"{model}: {kind}, {weights.parameters:,} parameters, {size(weights.bytes)}, whole."
    return Finding(name=name, level="ok", says=says)


def _json(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name
    if not path.is_file():
        raise InvalidInput(f"{folder} holds no {name}; give the whole folder of a Hugging Face model.")
    try:
        read = json.loads(path.read_bytes())
    except ValueError as error:
        raise InvalidInput(f"{path} is not JSON ({error}); copy the file again.") from None
    if not isinstance(read, dict):
        raise InvalidInput(f"{path} holds no JSON object; copy the file again.")
    return read


def _weight_files(folder: Path) -> list[Path]:
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        files = sorted(folder.glob("*.safetensors"))
        if not files:
            raise InvalidInput(
                f"{folder} holds no *.safetensors file; give the folder of a model that is stored as safetensors."
            )
        return files
    names = _json(folder, index.name).get("weight_map")
    if not isinstance(names, dict):
        raise InvalidInput(f"{index} names no files; copy the file again.")
    files = [folder / str(name) for name in sorted(set(names.values()))]
    missing = [path.name for path in files if not path.is_file()]
    if missing:
        raise InvalidInput(f"{folder} lacks {', '.join(missing)}, which its index names; copy what is missing.")
    return files


def _head(path: Path) -> dict[str, _Tensor]:
    """What a safetensors file says of its tensors: 8 bytes of length, JSON, data. Raises InvalidInput if it is not whole."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > min(size - 8, _MOST_HEADER_BYTES):
            raise InvalidInput(f"{path} is cut off or is no safetensors file ({size} bytes); copy it again.")
        text = stream.read(length)
    try:
        listed = _OBJECT.validate_json(text)
        tensors = {name: _Tensor.model_validate(told) for name, told in listed.items() if name != "__metadata__"}
    except ValidationError:
        raise InvalidInput(f"{path} is no safetensors file: its head cannot be read; copy it again.") from None
    end = 8 + length + max((tensor.data_offsets[1] for tensor in tensors.values()), default=0)
    if end != size:
        raise InvalidInput(f"{path} has {size} bytes where its head speaks of {end}; copy it again.")
    return tensors


def _require_tokenizer(folder: Path, *, templated: bool) -> None:
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        raise InvalidInput(
            f"{folder} holds no tokenizer ({', '.join(_TOKENIZERS[:2])} ...); copy it from where the model is from."
        )
    if not templated or any((folder / name).exists() for name in _TEMPLATES):
        return
    if not _json(folder, "tokenizer_config.json").get("chat_template"):
        raise InvalidInput(
            f"{folder} has no chat template; take the model that was tuned for chats, or put a chat_template.jinja there."
        )
