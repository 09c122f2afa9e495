import pytest

from sparring_controller.draws import round_prompts, seed_of, shards
from sparring_controller.selection import NoPair, choose, pair_of
from sparring_controller.statistics import Estimate, estimate, win
from sparring_shared.errors import InvalidInput
from sparring_shared.records import Candidate, CandidateSet, JudgeRef, Message, PolicyRef, PreferenceMatrix, Prompt
from sparring_shared.run_config import SelectionConfig

BEST_WORST, KNOCKOUT = SelectionConfig(), SelectionConfig(name="knockout")


def prompts(count: int) -> list[Prompt]:
    return [Prompt(prompt_id=str(i), messages=(Message(role="user", content=f"Question {i}?"),)) for i in range(count)]


def ids(played: list[Prompt]) -> list[str]:
    return [prompt.prompt_id for prompt in played]


def test_rounds_are_disjoint_until_all_have_been_played() -> None:
    rounds = [ids(round_prompts(prompts(10), 1, number, 4)) for number in (1, 2, 3)]
    assert sorted(rounds[0] + rounds[1] + rounds[2][:2]) == sorted(ids(prompts(10)))
    assert rounds[2][2:] == rounds[0][:2]
    assert rounds[0] != ids(round_prompts(prompts(10), 2, 1, 4))
    assert sorted(ids(round_prompts(prompts(10), 1, 7, None))) == sorted(ids(prompts(10)))


def test_the_order_does_not_depend_on_the_source() -> None:
    assert ids(round_prompts(prompts(10), 1, 1, 4)) == ids(round_prompts(prompts(10)[::-1], 1, 1, 4)) == ["7", "4", "8", "6"]


def test_a_round_cannot_play_more_than_there_is() -> None:
    with pytest.raises(InvalidInput, match="per_round is 11, but the source has 10 training prompts"):
        round_prompts(prompts(10), 1, 1, 11)


def test_shards_and_seeds() -> None:
    assert [len(shard) for shard in shards(prompts(10), 4)] == [4, 4, 2]
    assert seed_of(1, 2, "a") == 2024955147
    assert seed_of(1, 2, "a") != seed_of(1, 2, "b")


def test_estimates() -> None:
    assert estimate([1.0, 0.0, 1.0, 0.0]) == Estimate(value=0.5, low=0.0, high=1.0)
    found = estimate([1.0] * 30 + [0.0] * 10)
    assert (found.value, round(found.low, 6), round(found.high, 6)) == (0.75, 0.614101, 0.885899)
    assert estimate([0.7]) == Estimate(value=0.7, low=0.0, high=1.0)
    assert estimate([0.5, 0.5]) == Estimate(value=0.5, low=0.5, high=0.5)
    assert [win(p) for p in (0.51, 0.5, 0.49)] == [1.0, 0.5, 0.0]
    with pytest.raises(ValueError, match="at least one value"):
        estimate([])


def matrix(logits: list[list[float]], probs: list[list[float]]) -> PreferenceMatrix:
    values = {"prompt_id": "0", "logits": logits, "probs": probs, "truncated": [False] * len(logits)}
    return PreferenceMatrix.model_validate({**values, "judge": JudgeRef(name="j", revision="1")})


CLEAR = matrix([[0, 2, 1], [-2, 0, -1], [-1, 1, 0]], [[0.5, 0.9, 0.7], [0.1, 0.5, 0.2], [0.3, 0.8, 0.5]])
TIED = matrix([[0, 0], [0, 0]], [[0.5, 0.5], [0.5, 0.5]])


def test_the_extremes_are_chosen() -> None:
    assert choose(BEST_WORST, ["a", "b", "c"], CLEAR) == (0, 1)
    assert choose(KNOCKOUT, ["a", "b", "c"], CLEAR) == (0, 1)


def test_what_gives_no_pair_says_why() -> None:
    assert choose(BEST_WORST, ["a", "b"], TIED) is NoPair.TIED
    assert choose(KNOCKOUT, ["a", "b"], TIED) is NoPair.NOT_BEATEN
    assert choose(BEST_WORST, ["a", "a", "c"], CLEAR) is NoPair.SAME_TEXT
    assert choose(KNOCKOUT, ["a", "a", "c"], CLEAR) is NoPair.SAME_TEXT


def test_a_pair_carries_its_win_rates_and_its_policy() -> None:
    candidates = tuple(Candidate(text=t, token_ids=(ord(t), 2), logprob=-1.5, finish_reason="stop") for t in "abc")
    row = CandidateSet(prompt=prompts(1)[0], candidates=candidates, policy=PolicyRef(version=3, digest="sha256:3"))
    pair = pair_of(BEST_WORST, row, CLEAR)
    assert not isinstance(pair, NoPair)
    assert (pair.chosen[0].content, pair.rejected[0].content, pair.chosen_index, pair.rejected_index) == ("a", "b", 0, 1)
    assert (pair.chosen_token_ids, pair.rejected_token_ids) == ((97, 2), (98, 2))
    assert pair.chosen_win_rate == pytest.approx(0.7)
    assert pair.rejected_win_rate == pytest.approx(0.8 / 3)
    assert (pair.chosen_beats_rejected, pair.policy.version) == (0.9, 3)
