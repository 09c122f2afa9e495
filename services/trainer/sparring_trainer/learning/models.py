"""Loading and saving of policies, as Hugging Face folders."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from sparring_shared.artifacts import verified_digest
from sparring_shared.errors import InvalidInput, Unavailable
from sparring_shared.wire.trainer import CheckpointRef
from sparring_trainer.learning.logprobs import bind_scoring

_BESIDE_WEIGHTS = (
    "tokenizer*",
    "*.model",
    "vocab.*",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template*",
    "generation_config.json",
)
_TORCH_WRITER = "inline_container"
"""Where in torch a RuntimeError comes from when a file that it saves cannot be written."""
_LOADING_ERRORS = (OSError, ValueError, KeyError, RuntimeError, SafetensorError)


def load_model(folder: Path) -> PreTrainedModel:
    """The model of a checkpoint folder, in fp32, on the CPU, with dropout off.

    Raises InvalidInput for a folder that holds no causal language model, or one with weights missing.
    """
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, output_loading_info=True
        )
    except _LOADING_ERRORS as error:
        raise InvalidInput(f"{folder} cannot be loaded as a causal language model: {_first_line(error)}") from error
    model, report = loaded
    missing: set[str] = set(report["missing_keys"]) | {key for key, *_ in report["mismatched_keys"]}
    if missing:
        raise InvalidInput(f"The weights of {folder} lack {', '.join(sorted(missing)[:3])}; its config.json describes more.")
    return model.eval()


def load_policy(reference: CheckpointRef) -> PreTrainedModel:
    """The model of a policy, ready to score answers. Raises InvalidInput if the folder is damaged or holds other weights.

    Every file is read for its hash first, once in a process: what was trained on damaged weights would be lost.
    """
    folder = Path(reference.path)
    digest = verified_digest(folder)
    if digest != reference.digest:
        raise InvalidInput(f"{folder} holds the weights {digest}, not {reference.digest} as asked for.")
    model = load_model(folder)
    bind_scoring(model)
    return model


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a checkpoint folder. Raises InvalidInput if there is none."""
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except _LOADING_ERRORS as error:
        raise InvalidInput(f"The tokenizer of {folder} cannot be loaded: {_first_line(error)}") from error


def vocabulary_size(folder: Path) -> int:
    """How many tokens the model of a checkpoint folder knows. Raises InvalidInput if its config cannot be read."""
    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True).get_text_config().vocab_size
    except _LOADING_ERRORS as error:
        raise InvalidInput(f"The config of {folder} cannot be loaded: {_first_line(error)}") from error


def save_model(model: PreTrainedModel, folder: Path, source: Path, *, as_source: bool) -> None:
    """Write weights and config as safetensors, in fp32 or in the source's dtype, and copy the source's tokenizer files.

    The model's own weights are rounded, one by one, so that no second copy is made and the model is what the folder says.
    The tokenizer is copied byte for byte, so that all versions of a run speak the very same tokens.
    """
    dtype = _stored_dtype(source) if as_source else torch.float32
    for weight in model.parameters():
        # `model.to` would round buffers too: a folder does not hold rotary frequencies, who loads it computes them exactly.
        weight.data = weight.data.to(dtype)
    model.save_pretrained(folder)
    for pattern in _BESIDE_WEIGHTS:
        for path in source.glob(pattern):
            shutil.copyfile(path, folder / path.name)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Write a checkpoint. Raises Unavailable where its files cannot be written, as on a full disk."""
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and _TORCH_WRITER not in str(error):
            raise
        there = next(parent for parent in folder.absolute().parents if parent.is_dir())
        free = shutil.disk_usage(there).free / 1e9
        # Half of it is of no use, and may take the very room that saying so needs.
        shutil.rmtree(folder, ignore_errors=True)
        raise Unavailable(
            f"The checkpoint {folder} cannot be written ({_first_line(error)}), with {free:.1f} GB free; make room there, and "
            "the job goes on."
        ) from error


def _stored_dtype(folder: Path) -> torch.dtype:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    name = config.get("dtype") or config.get("torch_dtype") or "float32"
    known = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
    return known.get(name, torch.float32)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
