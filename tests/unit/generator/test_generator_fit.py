from pathlib import Path
from typing import Any

import pytest
from small_checkpoint import SHAPES, write_checkpoint

from sparring_generator.fit import check_fit, read_shape
from sparring_shared.errors import CheckpointMismatch, InvalidInput


def fit(tmp_path: Path, running: dict[str, Any], offered: dict[str, Any]) -> None:
    first = write_checkpoint(tmp_path / "running", **running)
    second = write_checkpoint(tmp_path / "offered", **offered)
    check_fit(read_shape(first), read_shape(second), second)


def test_other_weights_and_another_way_of_writing_them_fit(tmp_path: Path) -> None:
    fit(tmp_path, {}, {"fill": 7, "config": {"torch_dtype": "bfloat16", "use_cache": False, "rms_norm_eps": 1e-6}})


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"hidden_size": 8}, "hidden_size is 8, but the running model has 4."),
        ({"num_hidden_layers": 2}, "num_hidden_layers is 2, but the running model has 1."),
        ({"vocab_size": 101, "architectures": ["X"]}, r"architectures is \['X'\], but the running model has \['LlamaFor"),
        ({"rms_norm_eps": 1e-5}, "rms_norm_eps is 1e-05, but the running model has 1e-06."),
    ],
)
def test_another_architecture_does_not(tmp_path: Path, config: dict[str, Any], sentence: str) -> None:
    with pytest.raises(CheckpointMismatch, match=sentence):
        fit(tmp_path, {}, {"config": config})


def test_a_tensor_that_is_missing_or_has_another_shape_does_not_fit(tmp_path: Path) -> None:
    missing = {"model.norm.weight": (4,)}
    with pytest.raises(CheckpointMismatch, match=r"the shape of model.embed_tokens.weight is None, but .* \(100, 4\)"):
        fit(tmp_path / "missing", {}, {"shapes": missing})
    with pytest.raises(CheckpointMismatch, match=r"the shape of model.norm.weight is \(5,\), but .* \(4,\)"):
        fit(tmp_path / "other", {}, {"shapes": SHAPES | {"model.norm.weight": (5,)}})


def test_a_tied_head_may_be_left_out_and_any_other_may_not(tmp_path: Path) -> None:
    with_head = SHAPES | {"lm_head.weight": (100, 4)}
    tied = {"config": {"tie_word_embeddings": True}}
    fit(tmp_path / "tied", {"shapes": with_head, **tied}, tied)
    with pytest.raises(CheckpointMismatch, match=r"the shape of lm_head.weight is None"):
        fit(tmp_path / "free", {"shapes": with_head}, {})


def test_another_vocabulary_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(CheckpointMismatch, match="another vocabulary"):
        fit(tmp_path, {}, {"vocab": {"a": 0, "b": 2}})


def test_files_that_are_not_what_they_claim_are_named(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "a")
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1])
    with pytest.raises(InvalidInput, match=r"model.safetensors is cut short"):
        read_shape(folder)
    weights.write_bytes(b"no")
    with pytest.raises(InvalidInput, match=r"model.safetensors is not a safetensors file"):
        read_shape(folder)
    weights.write_bytes(whole)
    (folder / "tokenizer.json").write_text("[]")
    with pytest.raises(InvalidInput, match=r"tokenizer.json is not a tokenizer"):
        read_shape(folder)
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointMismatch, match=r"no config.json that transformers can read"):
        read_shape(folder)
