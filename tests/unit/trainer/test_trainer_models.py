import json
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from sparring_shared.artifacts import publish_checkpoint, weights_digest
from sparring_shared.errors import InvalidInput, Unavailable
from sparring_shared.wire.trainer import CheckpointRef
from sparring_trainer.learning.models import load_model, load_policy, load_tokenizer, save_model, vocabulary_size, writing


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    config = LlamaConfig(vocab_size=37, hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=4)
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(tmp_path / "base")  # pyright: ignore[reportArgumentType]
    (tmp_path / "base" / "tokenizer.json").write_text("{}")
    return tmp_path / "base"


def test_weights_are_loaded_wide_and_saved_as_their_source_or_wide(folder: Path, tmp_path: Path) -> None:
    model = load_model(folder)
    assert (model.dtype, model.training, vocabulary_size(folder)) == (torch.float32, False, 37)

    save_model(model, tmp_path / "wide", folder, as_source=False)
    save_model(model, tmp_path / "as-source", folder, as_source=True)

    for name, dtype in (("wide", torch.float32), ("as-source", torch.bfloat16)):
        weights = load_file(tmp_path / name / "model.safetensors")
        assert {tensor.dtype for tensor in weights.values()} == {dtype}
        assert json.loads((tmp_path / name / "config.json").read_text())["dtype"] == str(dtype).removeprefix("torch.")
        assert (tmp_path / name / "tokenizer.json").read_text() == "{}"


def test_other_weights_than_named_are_refused(folder: Path) -> None:
    digest = weights_digest(folder)

    assert load_policy(CheckpointRef(version=0, digest=digest, path=str(folder))).dtype == torch.float32
    with pytest.raises(InvalidInput, match=f"holds the weights {digest}, not sha256:other as asked for"):
        load_policy(CheckpointRef(version=0, digest="sha256:other", path=str(folder)))


def test_a_checkpoint_that_is_damaged_is_not_trained_on(folder: Path, tmp_path: Path) -> None:
    digest = publish_checkpoint(folder, tmp_path / "1", version=1)
    weights = tmp_path / "1" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x11")

    with pytest.raises(InvalidInput, match=r"1 is damaged: model\.safetensors differ from manifest\.json"):
        load_policy(CheckpointRef(version=1, digest=digest, path=str(tmp_path / "1")))


def test_a_folder_that_holds_no_model_is_named_in_one_sentence(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="nothing cannot be loaded as a causal language model: "):
        load_model(tmp_path / "nothing")
    with pytest.raises(InvalidInput, match=r"The tokenizer of .* cannot be loaded: "):
        load_tokenizer(folder)
    weights = load_file(folder / "model.safetensors")
    del weights["model.norm.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InvalidInput, match=r"lack model\.norm\.weight"):
        load_model(folder)
    (folder / "model.safetensors").write_bytes(b"x")
    with pytest.raises(InvalidInput, match="cannot be loaded as a causal language model: "):
        load_model(folder)


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file that this process writes may grow beyond 100 kB: a limit below the size of a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("small_files")
@pytest.mark.parametrize("kind", ["plain", "torch", "safetensors"])
def test_a_checkpoint_that_finds_no_room_is_a_sentence(tmp_path: Path, kind: str) -> None:
    weights, folder = torch.zeros(1_000_000), tmp_path / "checkpoint-3"
    folder.mkdir()
    said = r"The checkpoint .*checkpoint-3 cannot be written \(.*\), with .* GB free; make room"
    with pytest.raises(Unavailable, match=said), writing(folder):
        match kind:
            case "plain":
                (folder / "weights").write_bytes(bytes(1_000_000))
            case "torch":
                torch.save(weights, folder / "weights")
            case _:
                save_file({"weights": weights}, folder / "weights")


def test_torch_says_the_same_of_a_disk_that_is_full(tmp_path: Path) -> None:
    (tmp_path / "full").symlink_to("/dev/full")
    with pytest.raises(Unavailable, match="cannot be written"), writing(tmp_path):
        torch.save(torch.zeros(1_000_000), tmp_path / "full")


def test_other_errors_of_a_save_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="CUDA error"), writing(tmp_path):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
