"""What a measurement of `gpu_points` counts, and what it does not."""

import gc
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from gpu_points import attention, judge_speed
from gpu_points.attention import FORMS, SHAPES, TINY_FORMS, lengths_of, measured
from gpu_points.random_judge import random_judge
from gpu_points.records import Findings, Notebook, Setting

from sparring_judge.engines.pairrm.encoder import PairRmNetwork


def test_no_way_of_attention_meets_a_length_that_another_has_planned_for() -> None:
    for form in FORMS.values():
        lengths = [length for way in range(3) for length in lengths_of(form, way, 3)]
        assert len(set(lengths)) == 3 * SHAPES
        assert max(lengths) <= 2048
    assert all(length % 16 == 0 for way in range(3) for length in lengths_of(FORMS["judge"], way, 3))


def test_the_memory_for_all_lengths_is_taken_before_the_first_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[int] = []

    def once(_: str, __: object, length: int) -> float:
        called.append(length)
        return 0.0

    monkeypatch.setattr(attention, "once", once)
    measured("cpu", TINY_FORMS["trainer"], [16, 32])
    assert called == [48, 16, 16, 32, 32]


def test_only_a_missing_kernel_is_a_missing_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    def raising(error: RuntimeError) -> Findings:
        def once(*_: object) -> float:
            raise error

        monkeypatch.setattr(attention, "once", once)
        return measured("cpu", TINY_FORMS["trainer"], [16, 32])

    assert raising(RuntimeError("No available kernel.\nAborting")) == {"no_kernel": "No available kernel."}
    with pytest.raises(torch.AcceleratorError):
        raising(torch.AcceleratorError("CUDA error: an illegal memory access was encountered"))
    with pytest.raises(torch.OutOfMemoryError):
        raising(torch.OutOfMemoryError("CUDA out of memory."))


def test_a_judge_is_gone_when_the_memory_of_the_next_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[weakref.ref[PairRmNetwork]] = []

    def recorded(*arguments: Any) -> PairRmNetwork:
        assert [one() for one in made] == [None] * len(made)
        network = random_judge(*arguments)
        made.append(weakref.ref(network))
        return network

    monkeypatch.setattr(judge_speed, "random_judge", recorded)
    gc.disable()
    try:
        judge_speed.judge(Setting("cpu", tiny=True, folder=str(tmp_path), seconds=60), Notebook(tmp_path / "findings.json"))
    finally:
        gc.enable()
    assert len(made) == 3
