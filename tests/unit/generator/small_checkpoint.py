"""Checkpoint folders written by hand: what a safetensors file is, without torch."""

import json
import struct
from pathlib import Path
from typing import Any

CONFIG = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4, "num_hidden_layers": 1}
CONFIG |= {"num_attention_heads": 2, "num_key_value_heads": 2, "intermediate_size": 8, "vocab_size": 100}
SHAPES = {"model.embed_tokens.weight": (100, 4), "model.norm.weight": (4,)}


def write_checkpoint(
    folder: Path,
    *,
    config: dict[str, Any] | None = None,
    shapes: dict[str, tuple[int, ...]] | None = None,
    vocab: dict[str, int] | None = None,
    fill: int = 0,
) -> Path:
    """A folder with config.json, model.safetensors (every byte `fill`) and tokenizer.json."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(CONFIG | (config or {})))
    tokenizer = {"model": {"vocab": vocab or {"a": 0}}, "added_tokens": [{"content": "<s>", "id": 1}]}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    write_weights(folder / "model.safetensors", SHAPES if shapes is None else shapes, fill)
    return folder


def write_weights(path: Path, shapes: dict[str, tuple[int, ...]], fill: int = 0) -> None:
    """A safetensors file of fp32 tensors, every byte `fill`."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        count = 1
        for size in shape:
            count *= size
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + 4 * count]}
        end += 4 * count
    packed = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(packed)) + packed + bytes([fill]) * end)
