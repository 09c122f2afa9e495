import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, TrainerCallback, TrainerState

from sparring_shared.algorithms import Algorithm, InpoConfig, KtoConfig, SppoConfig
from sparring_shared.errors import Diverged
from sparring_shared.run_config import TrainingConfig
from sparring_shared.wire.trainer import JobStatus
from sparring_trainer.job.folder import JobFolder
from sparring_trainer.job.inner_checkpoints import latest
from sparring_trainer.job.progress import Progress
from sparring_trainer.learning.batches import Anchors, Steps, plan_steps
from sparring_trainer.learning.examples import Example
from sparring_trainer.learning.logprobs import bind_scoring
from sparring_trainer.learning.loop import StepTrainer, enable_gradient_checkpointing, score, training_arguments
from sparring_trainer.learning.objectives import kl_sums

CONFIG = TrainingConfig(precision="fp32", batch_size=7, micro_batch_tokens=1, learning_rate=1e-3)


def examples(count: int) -> list[Example]:
    draw = np.random.default_rng(0)

    def ids(most: int) -> tuple[int, ...]:
        return tuple(draw.integers(3, 37, size=int(draw.integers(1, most))).tolist())

    return [Example(ids(9), ids(6), ids(12), (0.9, 0.3), (0.0, 0.0)) for _ in range(count)]


def policy() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=37, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, attention_dropout=0.5
    )
    model = LlamaForCausalLM(config).double().eval()
    bind_scoring(model)
    return model


def trainer(
    folder: Path,
    model: LlamaForCausalLM,
    steps: Steps,
    algorithm: Algorithm,
    save_seconds: float = 600,
    **config: str,
) -> StepTrainer:
    job = JobFolder(folder)
    blank = {"step": 0, "total_steps": None, "metrics": {}, "eta_seconds": None, "checkpoint": None, "error": None}
    job.write_status(JobStatus.model_validate({"job_id": "j", "state": "running", **blank}))
    progress = Progress(job, len(steps), writes=True)
    progress.begin(0)
    chosen = TrainingConfig.model_validate(CONFIG.model_dump() | config)
    arguments = training_arguments(folder / "checkpoints", chosen, seed=0)
    return StepTrainer(
        model,
        arguments,
        steps,
        algorithm=algorithm,
        schedule_steps=len(steps),
        save_seconds=save_seconds,
        listener=progress,
    )


def gradients(folder: Path, budget: int, algorithm: Algorithm, checkpointing: bool = False) -> list[Tensor]:
    pairs, model = examples(7), policy()
    if checkpointing:
        enable_gradient_checkpointing(model)
    # Of the whole step the chosen answers are likelier than under the reference, the rejected ones less.
    anchors = Anchors(np.full((7, 2), -9, np.float32), np.full((7, 2), (-14, -12), np.float32))
    steps = Steps(pairs, anchors, plan_steps(7, 7, 1, 0), budget=budget)
    loss = trainer(folder, model, steps, algorithm).training_step(model, steps[0])
    return [loss.double(), *(parameter.grad for parameter in model.parameters() if parameter.grad is not None)]


@pytest.mark.parametrize("algorithm", [SppoConfig(eta=10), InpoConfig(eta=0.1), KtoConfig(beta=0.1)])
def test_micro_batches_change_neither_loss_nor_gradient(tmp_path: Path, algorithm: Algorithm) -> None:
    at_once, one_by_one = (gradients(tmp_path, budget, algorithm) for budget in (10_000, 1))

    assert len(at_once) == len(one_by_one) == 1 + 21
    for whole, cut in zip(at_once, one_by_one, strict=True):
        torch.testing.assert_close(whole, cut, atol=1e-10, rtol=1e-6)


def test_the_kl_of_kto_is_that_of_the_step_also_where_processes_share_it(tmp_path: Path) -> None:
    pairs, model = examples(7), policy()
    anchors = Anchors(np.zeros((7, 2), np.float32), np.full((7, 2), (-14, -12), np.float32))
    sums: list[Tensor] = []
    for rank in range(2):
        steps = Steps(pairs, anchors, plan_steps(7, 7, 1, 0), budget=60, rank=rank, processes=2)
        _, batches = steps[0]
        with torch.no_grad():
            sums += [kl_sums(batch, model(batch.input_ids, batch.starts, batch.lengths)) for batch in batches]
    arguments = training_arguments(tmp_path, CONFIG, seed=0)
    expected = (score(model, pairs, CONFIG, arguments) - anchors.reference).sum(axis=0)
    assert torch.stack(sums).sum(0).tolist() == pytest.approx(expected.tolist(), rel=1e-5)
    assert expected[0] > 0 > expected[1]


def test_gradient_checkpointing_changes_nothing_and_leaves_dropout_off(tmp_path: Path) -> None:
    plain, checkpointed = (gradients(tmp_path, 60, SppoConfig(eta=10), on) for on in (False, True))

    for one, other in zip(plain, checkpointed, strict=True):
        torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-9)


def test_gradient_checkpointing_computes_each_layer_twice(tmp_path: Path) -> None:
    model, calls = policy(), list[int]()
    first_norm = next(module for name, module in model.named_modules() if name.endswith("input_layernorm"))
    first_norm.register_forward_hook(lambda *_: calls.append(1))
    steps = Steps(examples(2), Anchors(np.zeros((2, 2), np.float32), np.zeros((2, 2), np.float32)), [[0, 1]], budget=999)
    looped = trainer(tmp_path, model, steps, SppoConfig(eta=10))

    looped.training_step(model, steps[0])
    assert len(calls) == 1
    enable_gradient_checkpointing(model)
    looped.training_step(model, steps[0])
    assert len(calls) == 3


def test_scores_come_in_the_order_of_the_examples(tmp_path: Path) -> None:
    pairs, model = examples(5), policy()
    arguments = training_arguments(tmp_path, CONFIG, seed=0)

    scored = score(model, pairs, CONFIG.model_copy(update={"micro_batch_tokens": 60}), arguments)

    assert scored.shape == (5, 2)
    np.testing.assert_allclose(scored, [one(model, pair) for pair in pairs], rtol=1e-6)


@torch.no_grad()
def one(model: LlamaForCausalLM, pair: Example) -> Sequence[float]:
    start = torch.tensor([len(pair.prompt_ids)])
    answers = (pair.chosen_ids, pair.rejected_ids)
    return [model(torch.tensor([pair.prompt_ids + ids]), start, torch.tensor([len(ids)])).item() for ids in answers]


def test_training_moves_the_policy_and_reports_every_step(tmp_path: Path) -> None:
    pairs, model = examples(6), policy()
    arguments = training_arguments(tmp_path, CONFIG, seed=0)
    before = score(model, pairs, CONFIG, arguments)
    steps = Steps(pairs, Anchors(before, before), plan_steps(6, 4, 3, 0), budget=100)

    trainer(tmp_path, model, steps, SppoConfig(eta=10)).train()

    rows = JobFolder(tmp_path).metric_rows()
    assert [(row["step"], row["pairs"]) for row in rows] == [(1, 4), (2, 2), (3, 4), (4, 2), (5, 4), (6, 2)]
    assert rows[0]["loss"] == pytest.approx((4**2 + 2**2) / 2)
    assert set(rows[0]) > {"kl", "grad_norm", "learning_rate", "step_seconds", "target_gap"}
    chosen, rejected = (score(model, pairs, CONFIG, arguments) - before).mean(axis=0)
    assert chosen > 0.1 > rejected
    status = JobFolder(tmp_path).status()
    assert (status.step, status.total_steps, status.eta_seconds) == (6, 6, 0)


@pytest.mark.parametrize("name", ["rmsprop", "adamw"])
def test_the_optimizer_goes_weight_by_weight_and_changes_them_to_the_same_bits(tmp_path: Path, name: str) -> None:
    steps = Steps(examples(2), Anchors(np.zeros((2, 2), np.float32), np.zeros((2, 2), np.float32)), [[0, 1]], budget=999)
    ours, all_at_once = policy().float(), policy().float()
    optimizer, same = (
        trainer(tmp_path, model, steps, SppoConfig(eta=10), optimizer=name).create_optimizer() for model in (ours, all_at_once)
    )
    assert [group["foreach"] for group in optimizer.param_groups] == [False, False]
    for group in same.param_groups:
        group["foreach"] = True
    draw = torch.Generator().manual_seed(0)
    for _ in range(5):
        for weight, other in zip(ours.parameters(), all_at_once.parameters(), strict=True):
            weight.grad = torch.randn(weight.shape, generator=draw)
            other.grad = weight.grad.clone()
        optimizer.step()
        same.step()

    assert all(map(torch.equal, ours.parameters(), all_at_once.parameters()))


@pytest.mark.parametrize(("seconds_of_a_step", "saved"), [(7, [2, 4]), (3, [4]), (1, []), (10, [1, 2, 3, 4, 5])])
def test_what_is_needed_to_go_on_is_saved_by_time_while_steps_remain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds_of_a_step: int, saved: list[int]
) -> None:
    clock, found = [0], list[int]()
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])

    class Ticks(TrainerCallback):
        def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
            clock[0] += seconds_of_a_step

        def on_save(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
            found.append(state.global_step)

    pairs, zeros = examples(6), np.zeros((6, 2), np.float32)
    steps = Steps(pairs, Anchors(zeros, zeros), plan_steps(6, 1, 1, 0), budget=100)
    looped = trainer(tmp_path, policy(), steps, SppoConfig(eta=10), save_seconds=10)
    looped.add_callback(Ticks())
    looped.train()

    assert found == saved
    kept = {path.name for path in (tmp_path / "checkpoints").glob("*")}
    assert kept == {f"checkpoint-{step}" for step in saved[-2:]}
    assert latest(tmp_path / "checkpoints") == (tmp_path / "checkpoints" / f"checkpoint-{saved[-1]}" if saved else None)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_training_that_diverges_says_where_and_what_to_change(tmp_path: Path, value: float) -> None:
    class Breaks(TrainerCallback):
        def on_step_begin(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
            if state.global_step == 1:
                next(model.parameters()).data.fill_(value)

    pairs, model = examples(6), policy()
    anchors = Anchors(np.full((6, 2), -9, np.float32), np.full((6, 2), -9, np.float32))
    looped = trainer(tmp_path, model, Steps(pairs, anchors, plan_steps(6, 2, 1, 0), budget=100), SppoConfig(eta=10), 0)
    looped.add_callback(Breaks())

    said = r"at step 2 .* finite, but it holds nan \(the step before: loss .*, grad_norm .*\); lower training.learning_rate"
    with pytest.raises(Diverged, match=said):
        looped.train()

    assert [row["step"] for row in JobFolder(tmp_path).metric_rows()] == [1]
    assert JobFolder(tmp_path).status().step == 1
    assert latest(tmp_path / "checkpoints") == tmp_path / "checkpoints" / "checkpoint-1"
