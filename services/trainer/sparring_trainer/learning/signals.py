"""What a loss is told of the two answers of a pair beyond their log-probs: by default their win rates."""

from collections import Counter
from itertools import pairwise

from sparring_shared.algorithms import Algorithm, GpoConfig, SppoConfig
from sparring_shared.errors import InvalidInput
from sparring_shared.records import Pair
from sparring_trainer.learning.losses import similarity_gate


def answer_signals(algorithm: Algorithm, pair: Pair) -> tuple[float, float]:
    """The signal of the chosen and of the rejected answer: win rates; for GPO mean judge logits; for eq. 4.12 p and 1 - p.

    Raises InvalidInput for GPO on a pair without scores.
    """
    match algorithm:
        case GpoConfig():
            if pair.chosen_score is None or pair.rejected_score is None:
                raise InvalidInput(
                    f"The pair of prompt {pair.prompt_id} has no scores, which GPO needs; judge all its candidates."
                )
            return pair.chosen_score, pair.rejected_score
        case SppoConfig(targets="pair"):
            rates = pair.chosen_beats_rejected, 1 - pair.chosen_beats_rejected
        case _:
            rates = pair.chosen_win_rate, pair.rejected_win_rate
    if isinstance(algorithm, SppoConfig) and algorithm.similarity_gate:
        alike = similarity(pair.chosen_token_ids, pair.rejected_token_ids)
        return (
            similarity_gate(rates[0], alike, algorithm.similarity_gate),
            similarity_gate(rates[1], alike, algorithm.similarity_gate),
        )
    return rates


def similarity(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    """Dice coefficient of the two answers' token bigrams, in [0, 1]; 1 if they say the same.

    A stand-in for the semantic similarity of S-SPPO, whose measure its public description does not give.
    Example: `similarity((1, 2, 3), (1, 2, 4)) == 0.5`.
    """
    if one == other:
        return 1.0
    bigrams = [Counter(pairwise(tokens)) for tokens in (one, other)]
    total = bigrams[0].total() + bigrams[1].total()
    return 2 * (bigrams[0] & bigrams[1]).total() / total if total else 0.0
