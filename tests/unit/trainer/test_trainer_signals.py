import pytest

from sparring_shared.algorithms import DpoConfig, GpoConfig, SppoConfig
from sparring_shared.errors import InvalidInput
from sparring_shared.records import Message, Pair, PolicyRef
from sparring_trainer.learning.signals import answer_signals, similarity

PAIR = Pair(
    prompt_id="p",
    prompt=(Message(role="user", content="?"),),
    chosen=(Message(role="assistant", content="!"),),
    rejected=(Message(role="assistant", content="..."),),
    prompt_token_ids=(1,),
    chosen_token_ids=(1, 2, 3),
    rejected_token_ids=(1, 2, 4),
    chosen_logprob=-1,
    rejected_logprob=-2,
    chosen_win_rate=0.75,
    rejected_win_rate=0.25,
    chosen_beats_rejected=0.875,
    chosen_score=1.5,
    rejected_score=-0.5,
    chosen_index=0,
    rejected_index=1,
    policy=PolicyRef(version=0, digest="sha256:0"),
)


def test_each_method_gets_what_it_regresses_on() -> None:
    assert answer_signals(SppoConfig(), PAIR) == (0.75, 0.25)
    assert answer_signals(DpoConfig(), PAIR) == (0.75, 0.25)
    assert answer_signals(SppoConfig(targets="pair"), PAIR) == (0.875, 0.125)
    assert answer_signals(GpoConfig(), PAIR) == (1.5, -0.5)
    # Half the bigrams are shared, so the win rates go half the way to 1/2.
    assert answer_signals(SppoConfig(similarity_gate=1), PAIR) == (0.625, 0.375)


def test_gpo_says_what_it_lacks() -> None:
    with pytest.raises(InvalidInput, match="prompt p has no scores, which GPO needs"):
        answer_signals(GpoConfig(), PAIR.model_copy(update={"chosen_score": None}))


def test_similarity_counts_shared_bigrams() -> None:
    assert similarity((1, 2, 3), (1, 2, 4)) == 0.5
    assert similarity((1, 2, 3), (1, 2, 3)) == 1
    assert similarity((5,), (5,)) == 1
    assert similarity((5,), (6,)) == 0
    assert similarity((1, 2), (2, 1)) == 0
