import sys
from pathlib import Path

import pytest
import torch
from trainer_world import World
from transformers import AutoModelForCausalLM

from sparring_shared.probe import max_difference, read_probe
from sparring_trainer.learning.probe import main


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
