"""On which card each worker computes."""

import asyncio
from collections.abc import Sequence

import pytest
import torch

from sparring_judge.engines import worker
from sparring_judge.engines.engine import Computed, Description
from sparring_judge.engines.models.devices import device_name, torch_device
from sparring_judge.queue.slots import open_slots
from sparring_judge.tasks.units import Unit
from sparring_shared.errors import InvalidInput


@pytest.mark.parametrize(
    ("wanted", "number", "cards", "name"),
    [
        ("auto", 0, 0, "cpu"),
        ("auto", 3, 0, "cpu"),
        ("auto", 0, 1, "cuda:0"),
        ("auto", 1, 4, "cuda:1"),
        ("auto", 5, 4, "cuda:1"),
        ("cuda", 0, 4, "cuda:0"),
        ("cuda", 3, 4, "cuda:3"),
        ("cuda", 2, 0, "cuda"),
        ("cuda:1", 0, 4, "cuda:1"),
        ("cuda:1", 3, 4, "cuda:1"),
        ("cpu", 2, 4, "cpu"),
        ("mps", 1, 0, "mps"),
    ],
)
def test_workers_take_the_cards_in_turns_unless_one_is_named(wanted: str, number: int, cards: int, name: str) -> None:
    assert device_name(wanted, number, cards) == name


def test_a_worker_computes_on_its_own_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(worker, "number", 3)
    assert torch_device("auto") == torch.device("cuda:1")
    assert torch_device("cuda:0") == torch.device("cuda:0")
    with pytest.raises(InvalidInput, match="The device cuda:2 is wanted, but torch finds 2 of its kind; set auto or cpu"):
        torch_device("cuda:2")


class Numbered:
    """A computer whose device is the number of its process."""

    def __init__(self) -> None:
        self.description = Description(device=str(worker.number), batch_tokens=1)

    def compute(self, units: Sequence[Unit]) -> Computed:
        return Computed(tuple(float(worker.number) for _ in units))


def test_each_process_that_computes_knows_its_number() -> None:
    slots = open_slots(Numbered, 3)
    try:
        assert [slot.description.device for slot in slots] == ["0", "1", "2"]
        computed = [asyncio.run(slot.compute([Unit(b"", 1, None)])).values for slot in slots]
        assert computed == [(0.0,), (1.0,), (2.0,)]
    finally:
        for slot in slots:
            slot.close()
