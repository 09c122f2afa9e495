"""From an engine's judgement to the answer on the wire."""

from typing import Literal

import numpy as np

from sparring_judge.engine import Judgement
from sparring_shared.errors import ErrorDescription, SparringError
from sparring_shared.preference import Floats, official_probs, pairwise_probs, scores, sigmoid, win_rates
from sparring_shared.wire.judge import CompareResult, ItemError, RankResult

Estimator = Literal["pairwise", "official"]
_SAME_SCORE = 1e-9


def item_error(error: SparringError) -> ItemError:
    """What stands in the place of a result."""
    return ItemError(error=ErrorDescription(type=error.type, message=error.message, detail=error.detail))


def rank_result(judgement: Judgement, estimator: Estimator, whole: bool) -> RankResult:
    """The answer to a rank item; `whole` if all pairs were asked for."""
    logits = judgement.logits
    if not whole:
        return RankResult(
            logits=_rows(logits),
            probs=_rows(_some_probs(logits, estimator)),
            win_rates=None,
            scores=None,
            ranks=None,
            truncated=judgement.truncated,
        )
    probs = pairwise_probs(logits) if estimator == "pairwise" else official_probs(logits)
    found = scores(logits)
    return RankResult(
        logits=_rows(logits),
        probs=_rows(probs),
        win_rates=tuple(win_rates(probs).tolist()),
        scores=tuple(found.tolist()),
        ranks=competition_ranks(found),
        truncated=judgement.truncated,
    )


def compare_result(judgement: Judgement) -> CompareResult:
    """The answer to a compare item."""
    logits = judgement.logits
    return CompareResult(
        p_a=float(pairwise_probs(logits)[0, 1]),
        logit_ab=float(logits[0, 1]),
        logit_ba=float(logits[1, 0]),
        truncated=(judgement.truncated[0], judgement.truncated[1]),
    )


def competition_ranks(values: Floats) -> tuple[int, ...]:
    """1 for the highest value; ties share the best rank, e.g. `(1, 3, 1)` for `[0.5, -1, 0.5]`.

    Values that differ by less than 1e-9 tie: equal texts have equal scores but for the rounding of their sums.
    """
    return tuple(1 + int((values > value + _SAME_SCORE).sum()) for value in values)


def _some_probs(logits: Floats, estimator: Estimator) -> Floats:
    """`pairwise` needs only the pair's own two logits; `official` needs the whole matrix and gives nothing here."""
    known = ~np.isnan(logits) if estimator == "pairwise" else np.eye(len(logits), dtype=bool)
    probs = np.full_like(logits, np.nan)
    probs[known] = sigmoid((logits - logits.T)[known] / 2)
    return probs


def _rows(matrix: Floats) -> tuple[tuple[float | None, ...], ...]:
    return tuple(tuple(None if np.isnan(value) else float(value) for value in row) for row in matrix)
