"""A stand-in engine for tests of the layer above: no model, no meaning, but the same numbers for the same texts always."""

import zlib
from collections.abc import Sequence

from sparring_judge.engines.engine import Computed, Description
from sparring_judge.tasks.task import Task
from sparring_judge.tasks.units import Limits, Plan, Reading, Unit, unit_key
from sparring_shared.records import JudgeRef

_POSITION_BIAS = 0.25


class FakeReader:
    """One unit for each game; words count as tokens, and only for what is told of them."""

    name = "fake"
    ref = JudgeRef(name="fake", revision="crc32", engine="fake")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits

    def plan(self, task: Task) -> Plan:
        """See `Reader`."""
        lengths = [len(text.split()) for text in (task.prompt, *task.candidates)]
        units = [self._unit(task.prompt, task.candidates[i], task.candidates[j]) for i, j in task.games]
        return Plan(
            units=tuple(units),
            games={game: ((1.0, at),) for at, game in enumerate(task.games)},
            reading=Reading(
                prompt_tokens=lengths[0],
                prompt_truncated=lengths[0] > self.limits.source_max_tokens,
                tokens=tuple(lengths[1:]),
                truncated=tuple(length > self.limits.candidate_max_tokens for length in lengths[1:]),
            ),
        )

    def _unit(self, *texts: str) -> Unit:
        return Unit(unit_key(self.ref, *texts), sum(len(text.split()) for text in texts), texts)


class FakeComputer:
    """Each (prompt, candidate) has a worth in [0, 4) from its CRC-32; logit = worth of first - worth of second + 0.25."""

    description = Description("cpu", batch_tokens=2048)

    def compute(self, units: Sequence[Unit]) -> Computed:
        """See `Computer`."""
        return Computed(tuple(self.logit(unit) for unit in units))

    def logit(self, unit: Unit) -> float:
        """The logit of one game."""
        prompt, first, second = unit.content  # pyright: ignore[reportGeneralTypeIssues]  # three texts, see FakeReader
        return _worth(prompt, first) - _worth(prompt, second) + _POSITION_BIAS


def _worth(prompt: str, candidate: str) -> float:
    return zlib.crc32(f"{prompt}\0{candidate}".encode("utf-8", "surrogatepass")) / 2**30
