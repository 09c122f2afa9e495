"""From an engine's judgement to the answer on the wire."""

from typing import Literal

import numpy as np

from sparring_judge.tasks.units import Judgement
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
    logits, reading = judgement.logits, judgement.reading
    probs = _probs(logits, estimator) if whole else _some_probs(logits, estimator)
    found = scores(logits) if whole else None
    return RankResult(
        logits=_rows(logits),
        probs=_rows(probs),
        win_rates=tuple(win_rates(probs).tolist()) if whole else None,
        scores=None if found is None else tuple(found.tolist()),
        ranks=None if found is None else competition_ranks(found),
        truncated=reading.truncated,
        tokens=reading.tokens,
        prompt_truncated=reading.prompt_truncated,
        prompt_tokens=reading.prompt_tokens,
        position_bias=position_bias(logits),
        passes=judgement.units,
        cache_hits=judgement.cache_hits,
        new_tokens=judgement.new_tokens,
    )


def compare_result(judgement: Judgement, estimator: Estimator) -> CompareResult:
    """The answer to a compare item."""
    logits, reading = judgement.logits, judgement.reading
    first, second = float(logits[0, 1]), float(logits[1, 0])
    return CompareResult(
        p_a=float(_probs(logits, estimator)[0, 1]),
        logit_ab=first,
        logit_ba=second,
        truncated=(reading.truncated[0], reading.truncated[1]),
        tokens=(reading.tokens[0], reading.tokens[1]),
        prompt_truncated=reading.prompt_truncated,
        prompt_tokens=reading.prompt_tokens,
        position_bias=(first + second) / 2,
        position_consistent=(first > 0) == (second < 0),
        passes=judgement.units,
        cache_hits=judgement.cache_hits,
        new_tokens=judgement.new_tokens,
    )


def position_bias(logits: Floats) -> float | None:
    """Mean of C_ij over all i != j that were asked for: 0 for a judge that does not mind the order; None without a pair."""
    asked = ~np.isnan(logits) & ~np.eye(len(logits), dtype=bool)
    return float(logits[asked].mean()) if asked.any() else None


def competition_ranks(values: Floats) -> tuple[int, ...]:
    """1 for the highest value; ties share the best rank, e.g. `(1, 3, 1)` for `[0.5, -1, 0.5]`.

    Values that differ by less than 1e-9 tie: equal texts have equal scores but for the rounding of their sums.
    """
    return tuple(1 + int((values > value + _SAME_SCORE).sum()) for value in values)


def _probs(logits: Floats, estimator: Estimator) -> Floats:
    return pairwise_probs(logits) if estimator == "pairwise" else official_probs(logits)


def _some_probs(logits: Floats, estimator: Estimator) -> Floats:
    """`pairwise` needs only the pair's own two logits; `official` needs the whole matrix and gives nothing here."""
    known = ~np.isnan(logits) if estimator == "pairwise" else np.eye(len(logits), dtype=bool)
    probs = np.full_like(logits, np.nan)
    probs[known] = sigmoid((logits - logits.T)[known] / 2)
    return probs


def _rows(matrix: Floats) -> tuple[tuple[float | None, ...], ...]:
    return tuple(tuple(None if np.isnan(value) else float(value) for value in row) for row in matrix)
