import json
from pathlib import Path
from typing import Any

import pytest
from small_checkpoint import CONFIG, SHAPES, write_checkpoint, write_weights

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
        (
            {"rope_theta": 5e5},
            r"rope_parameters is {'rope_theta': 500000.0, .*}, but the running model has {'rope_theta': 10000",
        ),
        ({"num_key_value_heads": 1}, "num_key_value_heads is 1, but the running model has 2."),
        ({"quantization_config": {"bits": 8}}, r"quantization_config is {'bits': 8}, but the running model has None."),
        ({"rms_norm_eps": 1e-5}, "rms_norm_eps is 1e-05, but the running model has 1e-06."),
    ],
)
def test_another_architecture_does_not(tmp_path: Path, config: dict[str, Any], sentence: str) -> None:
    with pytest.raises(CheckpointMismatch, match=sentence):
        fit(tmp_path, {}, {"config": config})


def test_what_another_transformers_writes_and_this_one_does_not_know_fits_unless_both_say_it_differently(
    tmp_path: Path,
) -> None:
    newer, older = {"config": {"compute_better": True, "window": None}}, {"config": {"pretraining_steps": 1}}
    fit(tmp_path / "newer", {}, newer)
    fit(tmp_path / "older", older, {})
    fit(tmp_path / "both", older, newer)
    fit(tmp_path / "same", newer, newer)
    with pytest.raises(CheckpointMismatch, match="compute_better is False, but the running model has True"):
        fit(tmp_path / "differently", newer, {"config": {"compute_better": False}})


def test_a_config_in_a_config_is_compared_in_the_same_way(tmp_path: Path) -> None:
    text = CONFIG | {"model_type": "gemma3_text"}
    running = {"config": {"model_type": "gemma3", "text_config": text}}
    fit(tmp_path / "newer", running, {"config": {"model_type": "gemma3", "text_config": text | {"compute_better": True}}})
    fit(tmp_path / "older", {"config": {"model_type": "gemma3", "text_config": text | {"compute_better": True}}}, running)
    with pytest.raises(CheckpointMismatch, match=r"text_config.sliding_window is 7, but the running model has 4096"):
        fit(tmp_path / "other", running, {"config": {"model_type": "gemma3", "text_config": text | {"sliding_window": 7}}})


def test_weights_are_those_that_the_index_or_the_usual_name_points_at(tmp_path: Path) -> None:
    running, offered = (write_checkpoint(tmp_path / name) for name in ("running", "offered"))
    write_weights(running / "consolidated.safetensors", {"tok_embeddings.weight": (100, 4)})
    assert read_shape(running).tensors == SHAPES
    check_fit(read_shape(running), read_shape(offered), offered)

    (running / "model.safetensors").rename(running / "model-00001-of-00001.safetensors")
    index = running / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": dict.fromkeys(SHAPES, "model-00001-of-00001.safetensors")}))
    assert read_shape(running).tensors == SHAPES
    index.write_text(json.dumps({"weight_map": {"model.norm.weight": "model-00002-of-00002.safetensors"}}))
    with pytest.raises(InvalidInput, match=r"index.json names model-00002-of-00002.safetensors, which is missing; write the"):
        read_shape(running)
    index.write_text("[]")
    with pytest.raises(InvalidInput, match=r"model.safetensors.index.json is not an index of weights; write the checkpoint"):
        read_shape(running)
    index.unlink()
    assert read_shape(running).tensors == {**SHAPES, "tok_embeddings.weight": (100, 4)}


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
