from itertools import chain

import numpy as np
import torch

from sparring_trainer.learning.batches import Anchors, Steps, micro_batches, plan_steps, share
from sparring_trainer.learning.examples import Example


def example(prompt: int, chosen: int, rejected: int) -> Example:
    ids = tuple(range(1, prompt + 1)), tuple(range(11, chosen + 11)), tuple(range(21, rejected + 21))
    return Example(*ids, win_rates=(0.75, 0.25), sampled_logprobs=(0.0, 0.0))


def test_every_epoch_plays_every_pair_once_in_its_own_order() -> None:
    steps = plan_steps(5, 2, 2, seed=3)

    assert [len(step) for step in steps] == [2, 2, 1, 2, 2, 1]
    assert sorted(chain(*steps[:3])) == sorted(chain(*steps[3:])) == [0, 1, 2, 3, 4]
    assert steps[:3] != steps[3:]
    assert plan_steps(5, 2, 1, seed=3) == steps[:3] != plan_steps(5, 2, 1, seed=4)


def test_micro_batches_are_filled_longest_first_within_the_budget() -> None:
    assert micro_batches([0, 1, 2], [5, 9, 4], 20) == [[1], [0, 2]]
    assert micro_batches([0, 1, 2], [5, 9, 4], 1) == [[1], [0], [2]]
    assert micro_batches([0, 1, 2], [5, 9, 4], 54) == [[1, 0, 2]]


def test_processes_share_a_step_and_do_equally_many_passes() -> None:
    lengths = [9, 1, 8, 1]

    assert share([0, 1, 2, 3], lengths, 18, 0, 1) == [([0], 1.0), ([2], 1.0), ([1, 3], 1.0)]
    shares = [share([0, 1, 2], lengths, 18, rank, 2) for rank in range(2)]
    assert shares == [[([0], 1.0), ([1], 1.0)], [([2], 1.0), ([1], 0.0)]]
    assert share([2], lengths, 18, 1, 2) == [([2], 0.0)]


def test_a_step_has_chosen_rows_first_padded_on_the_right() -> None:
    anchors = Anchors(np.array([[-1, -2], [-3, -4]], np.float32), np.array([[-5, -6], [-7, -8]], np.float32))
    steps = Steps([example(2, 1, 2), example(1, 2, 1)], anchors, [[1, 0]], budget=100)

    pairs, (batch,) = steps[0]

    assert (len(steps), pairs, batch.weight) == (1, 2, 1.0)
    assert batch.input_ids.tolist() == [[1, 2, 11, 0], [1, 11, 12, 0], [1, 2, 21, 22], [1, 21, 0, 0]]
    assert batch.starts.tolist() == [2, 1, 2, 1]
    assert batch.lengths.tolist() == [1, 2, 2, 1]
    assert batch.win_rates.tolist() == [0.75, 0.75, 0.25, 0.25]
    assert batch.previous.tolist() == [-1, -3, -2, -4]
    assert batch.reference.tolist() == [-5, -7, -6, -8]
    assert batch.previous.dtype == torch.float32
