"""How the stages ask the judge: in requests that it can answer in time, keeping what has come, whatever comes next.

Only what is wrong with an item in itself leaves it out; anything else is the stage's trouble.
"""

import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sparring_controller.rounds.clients.judge import JudgeClient
from sparring_controller.rounds.stages.work import Later, Work
from sparring_shared.errors import Broken, DeadlinePassed, InvalidInput, SparringError, TooLarge, Unavailable, error_of
from sparring_shared.records import JudgeRef, PreferenceMatrix
from sparring_shared.wire.judge import Estimator, ItemError, RankItem, RankResult

log = logging.getLogger(__name__)

_OWN_FAULT = (InvalidInput, TooLarge)
"""What the judge says of an item that cannot be judged, whoever asks when; what derives from them says something else."""

_LOOK_SECONDS = 3.0
_MOST_ITEMS = 64
_FIRST_PASSES, _MOST_PASSES = 64.0, 1024.0


@dataclass(frozen=True)
class Pace:
    """How many passes the next request may need, as the judge's speed allows; an item that needs more goes alone."""

    passes: float = _FIRST_PASSES

    def share(self, items: Sequence[RankItem]) -> int:
        """How many of the items, from the first on, to ask about at once."""
        sizes = [passes(item) for item in items[:_MOST_ITEMS]]
        return max(1, sum(sum(sizes[: at + 1]) <= self.passes for at in range(len(sizes))))

    def after(self, done: int, seconds: float, allowed: float) -> "Pace":
        """The pace once `done` passes took so long: a quarter of the time `allowed` is aimed at, growing by doubling."""
        fit = done / max(seconds, 1e-3) * allowed / 4
        return Pace(min(2 * self.passes, _MOST_PASSES, fit))


def passes(item: RankItem) -> int:
    """Both orders of the pairs of an item, which is what a judge of pairs computes; 20 for five candidates."""
    return len(item.candidates) * (len(item.candidates) - 1) if item.pairs is None else 2 * len(item.pairs)


class Judgements:
    """What a judge says of the items of one stage, by their names; begins with what an earlier attempt kept.

    `dropped` counts the items that cannot be judged, by reason; `refused` are their names.
    """

    def __init__(self, work: Work, judge: JudgeClient) -> None:
        self._work, self._judge = work, judge
        self.matrices = {row.prompt_id: row for row in work.kept(PreferenceMatrix)}
        self.dropped: Counter[str] = Counter()
        self.refused: set[str] = set()
        self._new = False

    def ask(self, items: Mapping[str, RankItem], estimator: Estimator) -> None:
        """Have the items judged, and what is known of them already completed.

        Raises what the stage has to wait or to be tried again for; hand it to `interrupted`.
        """
        pace, rest = Pace(), list(items.items())
        while rest:
            share = pace.share([item for _, item in rest])
            some, rest = rest[:share], rest[share:]
            began = time.monotonic()
            self._request(some, estimator)
            spent = time.monotonic() - began
            pace = pace.after(sum(passes(item) for _, item in some), spent, self._work.settings.judging_seconds)

    def interrupted(self, error: SparringError) -> Later:
        """Keep what has come for the next attempt. A wait begins anew where something came; else the error is raised."""
        self._work.keep(PreferenceMatrix, self.matrices.values())
        if isinstance(error, Unavailable) and self._new:
            return Later(_LOOK_SECONDS, error=error.message)
        raise error

    def _request(self, items: Sequence[tuple[str, RankItem]], estimator: Estimator) -> None:
        """Ask at once, in halves if that is too much."""
        self._work.check()
        try:
            response = self._judge.rank([item for _, item in items], estimator)
        except (DeadlinePassed, *_OWN_FAULT) as error:
            if type(error) not in (DeadlinePassed, *_OWN_FAULT):
                raise
            if len(items) > 1:
                half = (len(items) + 1) // 2
                self._request(items[:half], estimator)
                self._request(items[half:], estimator)
            elif isinstance(error, DeadlinePassed):
                more = "raise SPARRING_JUDGING_SECONDS and the judge's SPARRING_JUDGE_DEADLINE_SECONDS"
                raise DeadlinePassed(f"The judge could not judge one prompt's answers in time; {more}.") from None
            else:
                self._drop(items[0][0], error)
            return
        if any(row.judge != response.judge for row in self.matrices.values()):
            self.matrices.clear()
            raise Broken(
                f"The judge {response.judge.name} ({response.judge.revision}) is another than before; all is asked anew."
            )
        failures = list(self._taken(items, response.items, response.judge))
        if failures:
            raise failures[0]

    def _taken(
        self, items: Sequence[tuple[str, RankItem]], results: Sequence[RankResult | ItemError], judge: JudgeRef
    ) -> Iterator[SparringError]:
        """Take in all that came; what went wrong with others through no fault of their own."""
        for (name, _), result in zip(items, results, strict=True):
            if isinstance(result, RankResult):
                self.matrices[name] = completed(self.matrices.get(name), name, result, judge)
                self._new = True
                continue
            error = error_of(result.error.type, result.error.message, result.error.detail)
            if type(error) in _OWN_FAULT:
                self._drop(name, error)
            else:
                yield error

    def _drop(self, name: str, error: SparringError) -> None:
        log.warning("prompt %s is dropped: %s", name, error.message)
        self.dropped[f"judge: {error.type}"] += 1
        self.refused.add(name)


Matrix = tuple[tuple[float, ...], ...]


def completed(known: PreferenceMatrix | None, name: str, result: RankResult, judge: JudgeRef) -> PreferenceMatrix:
    """What is known of an item with what the judge says now; NaN stands where it never was asked."""
    return PreferenceMatrix(
        prompt_id=name,
        logits=_over(known and known.logits, result.logits),
        probs=_over(known and known.probs, result.probs),
        truncated=tuple(map(max, known.truncated if known else result.truncated, result.truncated)),
        judge=judge,
    )


def _over(known: Matrix | None, new: tuple[tuple[float | None, ...], ...]) -> Matrix:
    values = np.array(new, dtype=np.float64)
    whole = values if known is None else np.where(np.isnan(values), np.array(known), values)
    return tuple(map(tuple, whole.tolist()))
