"""A judge whose weights nobody knows is watched: at the start of each round it is asked about the same pairs again."""

import logging
import math
from collections.abc import Iterator

from sparring_controller.rounds.asking import shown
from sparring_controller.rounds.damage import Damaged
from sparring_controller.rounds.stage_results import PromptsResult
from sparring_controller.rounds.stages.work import Work
from sparring_shared.errors import Broken, InvalidInput, Unavailable, error_of
from sparring_shared.records import CandidateSet, PreferenceMatrix
from sparring_shared.wire.judge import Conversation, ItemError, RankItem, RankResult

log = logging.getLogger(__name__)

PAIRS = 32
"""How many pairs are fixed: the first that were judged once the judge was pinned."""

_AT_ONCE = 4
"""Pairs in one request: few enough for a slow judge."""

Known = tuple[RankItem, float]
"""A pair and P(a beats b), by `pairwise`, as it was judged."""


class JudgeDrifted(InvalidInput):
    """The judge says of the same pairs something else than before."""


def watched_drift(work: Work) -> float | None:
    """Mean |P now - P then| of the fixed pairs; None for a judge whose revision says its weights, and in its first round.

    Raises JudgeDrifted beyond `judge.max_drift`, Broken where a pair cannot be judged any more, Unavailable where one cannot be
    judged now.
    """
    pinned, first = work.pinned(work.config.judge.service), _first_round(work)
    if pinned is None or pinned.pinned or first >= work.row.round:
        return None
    pairs = fixed_pairs(work, first)
    if not pairs:
        return None
    results: list[RankResult | ItemError] = []
    for start in range(0, len(pairs), _AT_ONCE):
        work.check()
        results += work.judge.rank([item for item, _ in pairs[start : start + _AT_ONCE]], "pairwise", fresh=True).items
        work.keep_spent()
    errors = [result.error for result in results if isinstance(result, ItemError)]
    for error in (error_of(each.type, each.message, each.detail) for each in errors):
        if isinstance(error, Unavailable):
            raise error
    now = [result.probs[0][1] or 0.0 for result in results if isinstance(result, RankResult)]
    if len(now) < len(pairs):
        raise Broken(f"The judge could not judge {len(pairs) - len(now)} of {len(pairs)} pairs that it once judged.")
    drift = math.fsum(abs(p - then) for p, (_, then) in zip(now, pairs, strict=True)) / len(pairs)
    if drift > work.config.judge.max_drift:
        raise JudgeDrifted(
            f"The judge {pinned.ref} has drifted: of {len(pairs)} pairs of round {first} its probabilities differ by "
            f"{drift:.3f} in the mean, at most {work.config.judge.max_drift} is allowed (judge.max_drift); restore its model "
            "and resume the run, or accept it as it is for the rest with `sparring resume --accept-judge`."
        )
    return drift


def fixed_pairs(work: Work, number: int) -> list[Known]:
    """The first judged pair of different answers of each prompt of a round, for its first prompts."""
    known: list[Known] = []
    for shard in range(len(work.result(PromptsResult, number, "prompts").files)):
        try:
            sets = work.read(CandidateSet, number, "generate", shard)
            matrices = work.read(PreferenceMatrix, number, "judge", shard)
        except Damaged as damaged:
            # It was trained on, so it is not made anew; pairs of other shards will do.
            log.warning("the judge is not asked about the pairs of %s, which is not as it was written", damaged.path)
            continue
        of_prompt = {matrix.prompt_id: matrix for matrix in matrices}
        for row in sets:
            if row.prompt.prompt_id in of_prompt:
                prompt = shown(row, templated=work.config.judge.templated)
                known += list(_judged(prompt, row, of_prompt[row.prompt.prompt_id]))[:1]
        if len(known) >= PAIRS:
            break
    return known[:PAIRS]


def _judged(prompt: Conversation, row: CandidateSet, matrix: PreferenceMatrix) -> Iterator[Known]:
    texts = [candidate.text for candidate in row.candidates]
    for i, a in enumerate(texts):
        for j, b in enumerate(texts):
            logit = (matrix.logits[i][j] - matrix.logits[j][i]) / 2
            if i < j and a != b and math.isfinite(logit):
                yield RankItem(prompt=prompt, candidates=(a, b)), 1 / (1 + math.exp(-logit))


def _first_round(work: Work) -> int:
    """The first round that was wholly judged since the judge was pinned."""
    judges, service = work.snapshot.run.judge, work.config.judge.service
    return max((1, *(note.round for note in judges.accepted if note.service == service)) if judges else (1,))
