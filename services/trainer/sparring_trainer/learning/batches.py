"""Which pairs form an optimizer step, and how a step is cut into micro-batches that fit in memory."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from sparring_trainer.learning.examples import Example


def plan_steps(pairs: int, batch_size: int, epochs: int, seed: int) -> list[list[int]]:
    """Indices of the pairs of every optimizer step of all epochs; each epoch is shuffled anew, its last step may be smaller.

    Example: `plan_steps(3, 2, 1, 0) == [[0, 2], [1]]`.
    """
    steps: list[list[int]] = []
    for epoch in range(epochs):
        order = list(range(pairs))
        random.Random(f"{seed}/{epoch}").shuffle(order)
        steps += [order[start : start + batch_size] for start in range(0, pairs, batch_size)]
    return steps


def micro_batches(pairs: Sequence[int], lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Cut pairs into micro-batches of at most `budget` tokens, padding counted, longest first.

    A pair is two rows, padded to `lengths[pair]`; one that alone exceeds the budget is a micro-batch of its own.
    Example: `micro_batches([0, 1, 2], [5, 9, 4], 20) == [[1], [0, 2]]`.
    """
    cut: list[list[int]] = []
    for pair in sorted(pairs, key=lambda index: -lengths[index]):
        if cut and 2 * (len(cut[-1]) + 1) * lengths[cut[-1][0]] <= budget:
            cut[-1].append(pair)
        else:
            cut.append([pair])
    return cut


def share(
    pairs: Sequence[int], lengths: Sequence[int], budget: int, rank: int, processes: int
) -> list[tuple[list[int], float]]:
    """The micro-batches of one process, each with its weight in the loss: 1, or 0 for a filler.

    All processes get equally many, since each forward and backward pass may be a collective one.
    """
    longest_first = sorted(pairs, key=lambda index: -lengths[index])
    shares = [micro_batches(longest_first[other::processes], lengths, budget) for other in range(processes)]
    fillers = max(map(len, shares)) - len(shares[rank])
    return [(batch, 1.0) for batch in shares[rank]] + [([longest_first[-1]], 0.0)] * fillers


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """P pairs as 2P rows, first all chosen, then all rejected, padded on the right to L tokens.

    `input_ids` [2P, L]; `starts` and `lengths` [2P] say where an answer begins and how many tokens it has. `win_rates`
    (for GPO mean judge logits, see `signals`), `previous` (log pi_t) and `reference` (log pi_ref, or MNPO's mixture) are
    [2P]; `weight` is 0 for a filler.
    """

    input_ids: Tensor
    starts: Tensor
    lengths: Tensor
    win_rates: Tensor
    previous: Tensor
    reference: Tensor
    weight: float = 1.0

    def to(self, device: torch.device) -> Self:
        """The same on another device."""
        return replace(
            self,
            input_ids=self.input_ids.to(device),
            starts=self.starts.to(device),
            lengths=self.lengths.to(device),
            win_rates=self.win_rates.to(device),
            previous=self.previous.to(device),
            reference=self.reference.to(device),
        )


def rows(examples: Sequence[Example]) -> tuple[Tensor, Tensor, Tensor]:
    """`input_ids`, `starts` and `lengths` of a `MicroBatch`."""
    prompts = [example.prompt_ids for example in examples] * 2
    answers = [example.chosen_ids for example in examples] + [example.rejected_ids for example in examples]
    input_ids = torch.zeros(len(answers), max(example.length for example in examples), dtype=torch.long)
    for row, ids in enumerate(prompt + answer for prompt, answer in zip(prompts, answers, strict=True)):
        input_ids[row, : len(ids)] = torch.tensor(ids)
    return input_ids, torch.tensor([len(ids) for ids in prompts]), torch.tensor([len(ids) for ids in answers])


@dataclass(frozen=True, slots=True)
class Anchors:
    """Log-probs that stay fixed while the policy trains, each [N, 2] for the chosen and rejected answers of N pairs."""

    previous: NDArray[np.float32]
    reference: NDArray[np.float32]


class Steps(Dataset[tuple[int, list[MicroBatch]]]):
    """Item i is the i-th optimizer step: how many pairs it has in all, and this process's micro-batches."""

    def __init__(
        self,
        examples: Sequence[Example],
        anchors: Anchors,
        plan: Sequence[Sequence[int]],
        *,
        budget: int,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        self._examples = examples
        self._anchors = anchors
        self._plan = plan
        self._lengths = [example.length for example in examples]
        self._share = (budget, rank, processes)

    def __len__(self) -> int:
        return len(self._plan)

    def __getitem__(self, index: int) -> tuple[int, list[MicroBatch]]:
        parts = share(self._plan[index], self._lengths, *self._share)
        return len(self._plan[index]), [self._micro_batch(pairs, weight) for pairs, weight in parts]

    def _micro_batch(self, pairs: Sequence[int], weight: float) -> MicroBatch:
        examples = [self._examples[pair] for pair in pairs]
        win_rates = np.array([example.win_rates for example in examples], dtype=np.float32)
        anchored = (win_rates, self._anchors.previous[pairs], self._anchors.reference[pairs])
        return MicroBatch(*rows(examples), *(torch.from_numpy(values.T.flatten()) for values in anchored), weight=weight)
