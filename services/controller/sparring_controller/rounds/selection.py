"""Which of the K candidates are trained on, or why none are: pure functions of records."""

from enum import StrEnum

import numpy as np

from sparring_shared.algorithms import GpoConfig, needs_win_rates
from sparring_shared.preference import best_worst, cover, knockout, random_game, random_pair, scores, win_rates_against
from sparring_shared.records import CandidateSet, Message, Pair, PreferenceMatrix
from sparring_shared.run_config import RunConfig, SelectionConfig


class NoPair(StrEnum):
    """Why a prompt gives no pair."""

    TIED = "tied"
    SAME_TEXT = "same text"
    NOT_BEATEN = "chosen does not beat rejected"


def choose(
    selection: SelectionConfig, texts: list[str], matrix: PreferenceMatrix, seed: int = 0
) -> list[tuple[int, int]] | NoPair:
    """Indices of the chosen and the rejected candidate of each pair, one pair but for `all`.

    `best_worst` takes the extremes of the mean logit (SPPO, section 4 of arXiv 2405.00675), `knockout` plays INPO's
    tournament, `random` draws with `seed`; `all` covers every candidate (`preference.cover`).
    """
    match selection.name:
        case "best_worst" | "all":
            picked, otherwise = best_worst(scores(matrix.logits)), NoPair.TIED
        case "knockout":
            picked, otherwise = knockout(matrix.probs), NoPair.NOT_BEATEN
        case "random":
            picked, otherwise = random_pair(matrix.probs, np.random.default_rng(seed)), NoPair.TIED
    if picked is None:
        return otherwise
    if selection.name == "all":
        return NoPair.SAME_TEXT if len(set(texts)) == 1 else cover(scores(matrix.logits))
    return NoPair.SAME_TEXT if texts[picked[0]] == texts[picked[1]] else [picked]


def pairs_to_judge(config: RunConfig, k: int, seed: int) -> tuple[tuple[int, int], ...] | None:
    """The pairs (i, j), i < j, of k answers that selection and loss look at; None for all. `seed` is that of `choose`.

    Selection `random` needs the pair that it draws: 2 passes of a judge of pairs. A loss of win rates needs each of the two
    against all k as well, or those of `judge.estimator_k`, and GPO's mean logits against all: 26 passes of 56 at k = 8.
    Estimator `official` rates an answer by all pairs.
    """
    if config.selection.name != "random" or config.judge.estimator == "official":
        return None
    i, j = random_game(k, np.random.default_rng(seed))
    opponents = [i, j]
    if needs_win_rates(config.algorithm):
        estimator_k = None if isinstance(config.algorithm, GpoConfig) else config.judge.estimator_k
        opponents = _opponents(estimator_k, k, (i, j), seed)
    return tuple(sorted({(min(one, other), max(one, other)) for one in (i, j) for other in opponents if one != other}))


def pairs_of(config: RunConfig, row: CandidateSet, matrix: PreferenceMatrix, seed: int) -> list[Pair] | NoPair:
    """The pairs to train on, with their win rates by `judge.estimator_k`; `seed` decides what is left to chance."""
    picked = choose(config.selection, [candidate.text for candidate in row.candidates], matrix, seed)
    if isinstance(picked, NoPair):
        return picked
    means = [None if np.isnan(mean) else float(mean) for mean in scores(matrix.logits, partly=True) / 2]
    pairs: list[Pair] = []
    for chosen, rejected in picked:
        opponents = _opponents(config.judge.estimator_k, len(row.candidates), (chosen, rejected), seed)
        rates = win_rates_against(matrix.probs, opponents)
        pairs.append(_pair(row, matrix, (chosen, rejected), rates.tolist(), means))
    return pairs


def _opponents(k: int | None, candidates: int, pair: tuple[int, int], seed: int) -> list[int]:
    """The answers that a win rate is estimated on: all of them, or the pair and others drawn at random."""
    if k is None:
        return list(range(candidates))
    others = [index for index in range(candidates) if index not in pair]
    return [*pair, *np.random.default_rng((seed, 1)).permutation(others)[: k - 2].tolist()]


def _pair(
    row: CandidateSet,
    matrix: PreferenceMatrix,
    picked: tuple[int, int],
    rates: list[float],
    means: list[float | None],
) -> Pair:
    w, l = picked  # noqa: E741  # the papers' winner and loser
    chosen, rejected = row.candidates[w], row.candidates[l]
    return Pair(
        prompt_id=row.prompt.prompt_id,
        prompt=row.prompt.messages,
        chosen=(Message(role="assistant", content=chosen.text),),
        rejected=(Message(role="assistant", content=rejected.text),),
        prompt_token_ids=row.prompt_token_ids,
        chosen_token_ids=chosen.token_ids,
        rejected_token_ids=rejected.token_ids,
        chosen_logprob=chosen.logprob,
        rejected_logprob=rejected.logprob,
        chosen_win_rate=rates[w],
        rejected_win_rate=rates[l],
        chosen_beats_rejected=matrix.probs[w][l],
        chosen_score=means[w],
        rejected_score=means[l],
        chosen_index=w,
        rejected_index=l,
        policy=row.policy,
    )
