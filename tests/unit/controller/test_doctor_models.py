"""What the doctor says of model folders, whole and broken."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from sparring_controller.doctor.models import Weights, judge_finding, policy_finding, weights_of

MODELS = Path(__file__).parents[3] / "models"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A policy in two files of weights."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "tokenizer.json").write_text("{}")
    (folder / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
    files = {"a.weight": "model-1.safetensors", "b.weight": "model-2.safetensors"}
    for name, file in files.items():
        save_file({name: np.zeros((3, 4), np.float16)}, folder / file, {"format": "pt"})
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": files}))
    return folder


def test_whole_models(model: Path) -> None:
    assert (found := policy_finding(str(model))).level == "ok"
    assert found.says == f"{model}: llama, 24 parameters, 0.0 MiB, whole."
    size = sum(path.stat().st_size for path in model.glob("*.safetensors"))
    assert weights_of(model) == Weights(parameters=24, bytes=size)
    assert policy_finding(str(MODELS / "demo-policy")).level == "ok"
    assert judge_finding(str(MODELS / "demo-judge")).level == "ok"


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def one_file(model: Path) -> None:
    (model / "model.safetensors.index.json").unlink()
    for path in model.glob("*.safetensors"):
        path.unlink()


BROKEN: list[tuple[Callable[[Path], object], str]] = [
    (
        lambda model: (model / "config.json").unlink(),
        "{model} holds no config.json; give the whole folder of a Hugging Face model.",
    ),
    (
        lambda model: (model / "config.json").write_text('{"model_'),
        "{model}/config.json is not JSON (Unterminated string starting at: line 1 column 2 (char 1)); copy the file again.",
    ),
    (
        lambda model: (model / "model-2.safetensors").unlink(),
        "{model} lacks model-2.safetensors, which its index names; copy what is missing.",
    ),
    (
        lambda model: cut(model / "model-1.safetensors", 120),
        "{model}/model-1.safetensors has 120 bytes where its head speaks of {whole}; copy it again.",
    ),
    (
        lambda model: cut(model / "model-1.safetensors", 50),
        "{model}/model-1.safetensors is cut off or is no safetensors file (50 bytes); copy it again.",
    ),
    (
        lambda model: cut(model / "model-1.safetensors", 0),
        "{model}/model-1.safetensors is cut off or is no safetensors file (0 bytes); copy it again.",
    ),
    (
        lambda model: (model / "model-1.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n"),
        "{model}/model-1.safetensors is cut off or is no safetensors file (43 bytes); copy it again.",
    ),
    (
        lambda model: (model / "model-1.safetensors").write_bytes((3).to_bytes(8, "little") + b"[1]"),
        "{model}/model-1.safetensors is no safetensors file: its head cannot be read; copy it again.",
    ),
    (one_file, "{model} holds no *.safetensors file; give the folder of a model that is stored as safetensors."),
    (
        lambda model: (model / "tokenizer.json").unlink(),
        "{model} holds no tokenizer (tokenizer.json, tokenizer.model ...); copy it from where the model is from.",
    ),
    (
        lambda model: (model / "tokenizer_config.json").write_text("{}"),
        "{model} has no chat template; take the model that was tuned for chats, or put a chat_template.jinja there.",
    ),
]


@pytest.mark.parametrize(("spoil", "says"), BROKEN)
def test_broken_models(model: Path, spoil: Callable[[Path], object], says: str) -> None:
    whole = (model / "model-1.safetensors").stat().st_size
    spoil(model)
    found = policy_finding(str(model))
    assert (found.level, found.says) == ("wrong", says.format(model=model, whole=whole))


def test_a_judge_needs_no_chat_template_and_a_template_may_be_a_file(model: Path) -> None:
    (model / "tokenizer_config.json").write_text("{}")
    assert judge_finding(str(model)).level == "ok"
    (model / "chat_template.jinja").write_text("{{ messages }}")
    assert policy_finding(str(model)).level == "ok"


def test_a_model_of_the_hub_is_looked_for_in_its_cache(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    absent = policy_finding("some/model")
    assert (absent.level, absent.says) == (
        "warning",
        "some/model is not on this machine; it is fetched from the hub when it is first needed, or name a folder.",
    )
    place = tmp_path / "hub" / "models--some--model"
    shutil.copytree(model, place / "snapshots" / ("0123" * 10))
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("0123" * 10)
    assert policy_finding("some/model").says == "some/model: llama, 24 parameters, 0.0 MiB, whole."
