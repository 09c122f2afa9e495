"""A stand-in engine for tests of the layer above: no model, no meaning, but the same numbers for the same texts always."""

import zlib
from collections.abc import Sequence

import numpy as np

from sparring_judge.engine import Judgement, Limits, Task
from sparring_shared.errors import SparringError
from sparring_shared.records import JudgeRef

_POSITION_BIAS = 0.25


class FakeJudge:
    """Each (prompt, candidate) has a worth in [0, 4) from its CRC-32; logit = worth of first - worth of second + 0.25.

    Words count as tokens, and only for `truncated`.
    """

    engine = "fake"
    device = "cpu"

    def __init__(self, limits: Limits) -> None:
        self.ref = JudgeRef(name="fake", revision="crc32")
        self.limits = limits

    def judge(self, tasks: Sequence[Task]) -> list[Judgement | SparringError]:
        """Judge each task; see `Judge`."""
        return [self._judge(task) for task in tasks]

    def _judge(self, task: Task) -> Judgement:
        count = len(task.candidates)
        worth = [_worth(task.prompt, candidate) for candidate in task.candidates]
        logits = np.full((count, count), np.nan)
        np.fill_diagonal(logits, 0.0)
        for i, j in task.games:
            logits[i, j] = worth[i] - worth[j] + _POSITION_BIAS
        lengths = [len(text.split()) for text in (task.prompt, *task.candidates)]
        return Judgement(
            logits=logits,
            truncated=tuple(length > self.limits.candidate_max_tokens for length in lengths[1:]),
            source_truncated=lengths[0] > self.limits.source_max_tokens,
            passes=len(task.games),
            tokens=sum(lengths[0] + lengths[1 + i] + lengths[1 + j] for i, j in task.games),
        )


def _worth(prompt: str, candidate: str) -> float:
    return zlib.crc32(f"{prompt}\0{candidate}".encode("utf-8", "surrogatepass")) / 2**30
