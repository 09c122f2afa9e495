import shutil
import sys
from pathlib import Path

import pytest
import torch
from trainer_world import World
from transformers import AutoModelForCausalLM

from sparring_shared.artifacts import weights_digest
from sparring_shared.probe import max_difference, read_probe
from sparring_shared.wire.trainer import CheckpointRef
from sparring_trainer.learning.models import load_policy, save_model
from sparring_trainer.learning.probe import main, probe_of, write_probe_for


def test_the_command_adds_what_the_model_says_of_its_own_chat(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["probe", str(world.model)])
    assert main() == 0

    probe = read_probe(world.model)
    assert probe is not None
    assert 32 < len(probe.token_ids) <= 64
    ids = torch.tensor([probe.token_ids])
    logits = AutoModelForCausalLM.from_pretrained(world.model)(ids).logits[0, :-1]
    expected = logits.log_softmax(-1).gather(-1, ids[0, 1:, None]).squeeze(-1)
    assert max_difference(probe.logprobs, tuple(expected.tolist())) < 1e-5


def test_a_folder_without_a_model_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["probe", str(tmp_path)])

    assert main() == 2
    assert capsys.readouterr().err.startswith(f"sparring: {tmp_path} cannot be loaded as a causal language model: ")


def test_the_probe_of_a_policy_saved_in_bf16_is_that_of_its_folder(world: World, tmp_path: Path) -> None:
    base, out = tmp_path / "base", tmp_path / "out"
    shutil.copytree(world.model, base)
    AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16).save_pretrained(base)
    policy = load_policy(CheckpointRef(version=0, digest=weights_digest(base), path=str(base)))
    with torch.no_grad():
        for weight in policy.parameters():
            weight += 1e-4  # what no bf16 holds, as after training
    buffers = {name: buffer.clone() for name, buffer in policy.named_buffers()}

    save_model(policy, out, base, as_source=True)

    assert probe_of(policy, out) == write_probe_for(out)
    assert any("inv_freq" in name for name in buffers)
    for name, buffer in policy.named_buffers():
        torch.testing.assert_close(buffer, buffers[name], rtol=0, atol=0)
