"""Which two of the K candidates are trained on, or why none are: pure functions of records."""

from enum import StrEnum

from sparring_shared.preference import best_worst, knockout, scores, win_rates
from sparring_shared.records import CandidateSet, Message, Pair, PreferenceMatrix
from sparring_shared.run_config import SelectionConfig


class NoPair(StrEnum):
    """Why a prompt gives no pair."""

    TIED = "tied"
    SAME_TEXT = "same text"
    NOT_BEATEN = "chosen does not beat rejected"


def choose(selection: SelectionConfig, texts: list[str], matrix: PreferenceMatrix) -> tuple[int, int] | NoPair:
    """Indices of the chosen and the rejected candidate.

    `best_worst` takes the extremes of the mean logit (SPPO, section 4 of arXiv 2405.00675), `knockout` plays INPO's tournament.
    """
    if selection.name == "best_worst":
        picked, otherwise = best_worst(scores(matrix.logits)), NoPair.TIED
    else:
        picked, otherwise = knockout(matrix.probs), NoPair.NOT_BEATEN
    if picked is None:
        return otherwise
    return NoPair.SAME_TEXT if texts[picked[0]] == texts[picked[1]] else picked


def pair_of(selection: SelectionConfig, row: CandidateSet, matrix: PreferenceMatrix) -> Pair | NoPair:
    """The pair to train on, with its win rates against all K."""
    picked = choose(selection, [candidate.text for candidate in row.candidates], matrix)
    if isinstance(picked, NoPair):
        return picked
    w, l = picked  # noqa: E741  # the papers' winner and loser
    chosen, rejected = row.candidates[w], row.candidates[l]
    rates = win_rates(matrix.probs)
    return Pair(
        prompt_id=row.prompt.prompt_id,
        prompt=row.prompt.messages,
        chosen=(Message(role="assistant", content=chosen.text),),
        rejected=(Message(role="assistant", content=rejected.text),),
        chosen_token_ids=chosen.token_ids,
        rejected_token_ids=rejected.token_ids,
        chosen_logprob=chosen.logprob,
        rejected_logprob=rejected.logprob,
        chosen_win_rate=float(rates[w]),
        rejected_win_rate=float(rates[l]),
        chosen_beats_rejected=matrix.probs[w][l],
        chosen_index=w,
        rejected_index=l,
        policy=row.policy,
    )
