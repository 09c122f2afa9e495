import pytest

from sparring_shared.errors import InvalidInput
from sparring_shared.records import Message, Pair, PolicyRef
from sparring_trainer.learning.examples import Example, cuts, sampler_gap, to_example, truncate

LIMITS = {"max_length": 10, "max_prompt_length": 4}


def test_a_pair_that_fits_is_left_alone() -> None:
    assert truncate((1, 2, 3, 4, 5), (6, 7), (8, 9, 10, 11, 12), **LIMITS) == ((1, 2, 3, 4, 5), (6, 7), (8, 9, 10, 11, 12))


def test_a_long_prompt_keeps_its_end() -> None:
    assert truncate((1, 2, 3, 4, 5, 6), (7, 8), (1, 2, 3, 4, 5), **LIMITS) == ((3, 4, 5, 6), (7, 8), (1, 2, 3, 4, 5))


def test_answers_are_cut_to_what_the_longest_prompt_leaves_even_after_a_short_prompt() -> None:
    long = tuple(range(20, 31))
    assert truncate((1, 2), (7, 8), long, **LIMITS) == ((1, 2), (7, 8), (20, 21, 22, 23, 24, 25))
    assert truncate((1, 2, 3, 4, 5), long, long, **LIMITS) == ((2, 3, 4, 5), long[:6], long[:6])


def pair(**changed: object) -> Pair:
    question = (Message(role="user", content="?"),)
    answer = (Message(role="assistant", content="!"),)
    values: dict[str, object] = {
        "prompt_id": "p",
        "prompt": question,
        "chosen": answer,
        "rejected": answer,
        "prompt_token_ids": (1, 3),
        "chosen_token_ids": (5, 2),
        "rejected_token_ids": (6, 7, 2),
        "chosen_logprob": -1.5,
        "rejected_logprob": -2.5,
        "chosen_win_rate": 0.75,
        "rejected_win_rate": 0.25,
        "chosen_beats_rejected": 0.9,
        "chosen_index": 0,
        "rejected_index": 1,
        "policy": PolicyRef(version=0, digest="sha256:0"),
    }
    return Pair.model_validate({**values, **changed})


def test_an_example_has_the_sampled_tokens_not_those_of_the_text() -> None:
    example = to_example(pair(), vocabulary=8, **LIMITS)

    assert example == Example((1, 3), (5, 2), (6, 7, 2), (0.75, 0.25), (-1.5, -2.5), lost=(0, 0, 0))
    assert example.length == 5


def test_a_token_beyond_the_vocabulary_is_refused() -> None:
    with pytest.raises(InvalidInput, match="prompt p holds token 7, but the policy knows only 7 tokens"):
        to_example(pair(), vocabulary=7, **LIMITS)


def test_the_sampler_is_compared_only_where_nothing_was_cut() -> None:
    whole = to_example(pair(), vocabulary=8, **LIMITS)
    cut = to_example(pair(prompt_token_ids=(1,) * 9), vocabulary=8, **LIMITS)

    assert cut.lost == (5, 0, 0)
    assert sampler_gap([whole, cut], [(-1.25, -3.25), (-100, -100)]) == 0.5
    assert sampler_gap([cut], [(-100, -100)]) is None


def test_what_the_cut_took_is_counted_and_lengths_are_those_before_it() -> None:
    long = tuple(range(2, 8)) * 2
    examples = [
        to_example(pair(), vocabulary=8, **LIMITS),
        to_example(pair(prompt_token_ids=(1,) * 9, chosen_token_ids=long), vocabulary=8, **LIMITS),
    ]
    assert examples[1].lost == (5, 6, 0)
    assert cuts(examples) == {
        "chosen_tokens": (2 + 12) / 2,
        "rejected_tokens": 3,
        "cut_answers": 1 / 4,
        "cut_prompts": 1 / 2,
        "lost_tokens": 6,
    }
