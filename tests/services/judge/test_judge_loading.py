"""Loading the layouts that judges come in, and what is refused."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from small_judge import TAGS, small_tokenizer

from sparring_judge.engines.engine import judge_tasks
from sparring_judge.engines.pairrm.engine import load_pairrm
from sparring_judge.engines.pairrm.tokenizer import load_tokenizer
from sparring_judge.settings import JudgeSettings
from sparring_judge.tasks.task import Task, games
from sparring_judge.tasks.units import Judgement
from sparring_shared.errors import CheckpointMismatch, InvalidInput, NotFound

TASK = Task("what is zinc?", ("a metal.", "gold", "yes"), games(3))


def judged(folder: Path) -> Judgement:
    engine = load_pairrm(JudgeSettings(model=str(folder), device="cpu"))
    (found,) = judge_tasks(engine.reader, engine.load(), [TASK])
    assert isinstance(found, Judgement)
    return found


def test_a_pytorch_bin_gives_the_same_as_safetensors(tmp_path: Path, small_judge: Path) -> None:
    other = Path(shutil.copytree(small_judge, tmp_path / "other"))
    # Older checkpoints also store position_ids, a constant.
    constant = {"pretrained_model.embeddings.position_ids": torch.arange(4)}
    torch.save(load_file(other / "model.safetensors") | constant, other / "pytorch_model.bin")
    (other / "model.safetensors").unlink()
    assert abs(judged(other).logits - judged(small_judge).logits).max() < 1e-5


def test_fp16_weights_are_computed_in_fp32(tmp_path: Path, small_judge: Path) -> None:
    other = Path(shutil.copytree(small_judge, tmp_path / "other"))
    halves = {name: tensor.half() for name, tensor in load_file(other / "model.safetensors").items()}
    save_file(halves, other / "model.safetensors")
    assert abs(judged(other).logits - judged(small_judge).logits).max() < 0.05


def test_the_llm_blender_layout_finds_its_backbone_beside_it(tmp_path: Path, small_judge: Path) -> None:
    judge, backbone = tmp_path / "judge", tmp_path / "the-backbone"
    judge.mkdir()
    backbone.mkdir()
    shutil.copy(small_judge / "model.safetensors", judge)
    (judge / "config.json").write_text(json.dumps({"ranker_type": "pairranker", "model_name": "the-backbone"}))
    shutil.copy(small_judge / "config.json", backbone)
    tokenizer = json.loads(small_tokenizer().to_str())
    # The backbone's tokenizer does not know the tags; their ids follow its own.
    tokenizer["added_tokens"] = [token for token in tokenizer["added_tokens"] if token["content"] not in TAGS]
    (backbone / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert abs(judged(judge).logits - judged(small_judge).logits).max() < 1e-5


def hub_snapshot(cache: Path, repo: str, commit: str) -> Path:
    """A folder as the hub client keeps a downloaded model."""
    kept = cache / f"models--{repo.replace('/', '--')}"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs" / "main").write_text(commit)
    snapshot = kept / "snapshots" / commit
    snapshot.mkdir(parents=True)
    return snapshot


def test_a_judge_and_its_backbone_from_the_hub(tmp_path: Path, small_judge: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    judge = hub_snapshot(tmp_path, "somebody/judge", "1" * 40)
    torch.save(load_file(small_judge / "model.safetensors"), judge / "pytorch_model.bin")
    (judge / "config.json").write_text(json.dumps({"ranker_type": "pairranker", "model_name": "somebody/backbone"}))
    backbone = hub_snapshot(tmp_path, "somebody/backbone", "2" * 40)
    shutil.copy(small_judge / "config.json", backbone)
    shutil.copy(small_judge / "tokenizer.json", backbone)
    loaded = load_pairrm(JudgeSettings(model="somebody/judge", device="cpu"))
    weights, rest = loaded.reader.ref.revision.split("+")
    assert (loaded.reader.ref.name, weights, len(rest), loaded.pinned) == ("somebody/judge", "1" * 40, 12, True)
    (found,) = judge_tasks(loaded.reader, loaded.load(), [TASK])
    assert isinstance(found, Judgement)
    assert abs(found.logits - judged(small_judge).logits).max() < 1e-5
    with pytest.raises(NotFound, match="gave no model somebody/judge at revision v2"):
        load_pairrm(JudgeSettings(model="somebody/judge", revision="v2", device="cpu"))


def test_a_logit_that_is_not_finite_is_an_error_of_its_item(tmp_path: Path, small_judge: Path) -> None:
    other = Path(shutil.copytree(small_judge, tmp_path / "other"))
    weights = load_file(other / "model.safetensors")
    word = small_tokenizer().token_to_id("▁gold")
    weights["pretrained_model.embeddings.word_embeddings.weight"][word] = math.nan
    save_file(weights, other / "model.safetensors")
    engine = load_pairrm(JudgeSettings(model=str(other), device="cpu"))
    bad, good = judge_tasks(engine.reader, engine.load(), [TASK, Task("yes?", ("yes", "no"), games(2))])
    assert not isinstance(bad, Judgement)
    assert bad.message.startswith("The judge gave a logit that is not finite")
    assert isinstance(good, Judgement)


def test_tag_ids_that_differ_from_the_config_are_refused(tmp_path: Path, small_judge: Path) -> None:
    other = Path(shutil.copytree(small_judge, tmp_path / "other"))
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "cand1_prefix_id": 7}))
    with pytest.raises(CheckpointMismatch, match="differ from those in the model's config"):
        load_pairrm(JudgeSettings(model=str(other), device="cpu"))


def test_a_tokenizer_with_more_ids_than_the_model_is_refused(tmp_path: Path, small_judge: Path) -> None:
    other = Path(shutil.copytree(small_judge, tmp_path / "other"))
    weights = load_file(other / "model.safetensors")
    words = "pretrained_model.embeddings.word_embeddings.weight"
    weights[words] = weights[words][:-2].contiguous()
    save_file(weights, other / "model.safetensors")
    with pytest.raises(CheckpointMismatch, match="but the model embeds only"):
        load_pairrm(JudgeSettings(model=str(other), device="cpu")).load()


def test_a_tag_in_a_text_never_becomes_the_tag(small_judge: Path) -> None:
    tokenizer = load_tokenizer(small_judge / "tokenizer.json")
    known = tokenizer.special
    assert (known.source, known.candidate1) == tuple(small_tokenizer().token_to_id(tag) for tag in TAGS[:2])
    assert max(tokenizer.ids(" ".join(TAGS))) < known.source


def test_tokens_after_the_tags_are_refused(tmp_path: Path, small_judge: Path) -> None:
    other = Path(shutil.copytree(small_judge, tmp_path / "other"))
    tokenizer = small_tokenizer()
    tokenizer.add_tokens(["more"])
    tokenizer.save(str(other / "tokenizer.json"))
    with pytest.raises(CheckpointMismatch, match="adds more after the tags"):
        load_pairrm(JudgeSettings(model=str(other), device="cpu"))


def test_int8_says_how_far_it_is_off(small_judge: Path) -> None:
    exact, rounded = (
        load_pairrm(JudgeSettings.model_validate({"model": str(small_judge), "device": "cpu", "precision": precision}))
        for precision in ("fp32", "int8")
    )
    computer = rounded.load()
    note = computer.description.note or ""
    assert note.startswith("int8: logits of fixed passes differ from those of fp32 by ")
    assert exact.load().description.note is None
    (found,) = judge_tasks(rounded.reader, computer, [TASK])
    assert isinstance(found, Judgement)
    assert 0 < abs(found.logits - judged(small_judge).logits).max() < 1


def test_a_precision_that_a_cpu_does_not_compute_in_is_refused(small_judge: Path) -> None:
    settings = JudgeSettings(model=str(small_judge), device="cpu", precision="bf16")
    with pytest.raises(InvalidInput, match="in fp32, int8 on cpu, not in bf16"):
        load_pairrm(settings).load()
