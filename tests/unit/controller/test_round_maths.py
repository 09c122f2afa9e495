import math
from typing import Any

import pytest

from sparring_controller.rounds.draws import round_prompts, seed_of, shards
from sparring_controller.rounds.estimates import Estimate, estimate, win
from sparring_controller.rounds.selection import NoPair, choose, pairs_of, pairs_to_judge
from sparring_shared.records import Candidate, CandidateSet, JudgeRef, Message, PolicyRef, PreferenceMatrix, Prompt
from sparring_shared.run_config import RunConfig, SelectionConfig

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


def run_config(**changed: Any) -> RunConfig:
    return RunConfig.model_validate({"name": "a", "policy": {"model": "m"}, "prompts": {"source": "p"}, **changed})


CLEAR = matrix([[0, 2, 1], [-2, 0, -1], [-1, 1, 0]], [[0.5, 0.9, 0.7], [0.1, 0.5, 0.2], [0.3, 0.8, 0.5]])
TIED = matrix([[0, 0], [0, 0]], [[0.5, 0.5], [0.5, 0.5]])


def test_the_extremes_are_chosen() -> None:
    assert choose(BEST_WORST, ["a", "b", "c"], CLEAR) == [(0, 1)]
    assert choose(KNOCKOUT, ["a", "b", "c"], CLEAR) == [(0, 1)]


def test_what_gives_no_pair_says_why() -> None:
    assert choose(BEST_WORST, ["a", "b"], TIED) is NoPair.TIED
    assert choose(KNOCKOUT, ["a", "b"], TIED) is NoPair.NOT_BEATEN
    assert choose(BEST_WORST, ["a", "a", "c"], CLEAR) is NoPair.SAME_TEXT
    assert choose(KNOCKOUT, ["a", "a", "c"], CLEAR) is NoPair.SAME_TEXT


def test_a_pair_carries_its_win_rates_and_its_policy() -> None:
    found = pairs_of(run_config(), candidate_set("abc"), CLEAR, 0)
    assert not isinstance(found, NoPair)
    (pair,) = found
    assert (pair.chosen[0].content, pair.rejected[0].content, pair.chosen_index, pair.rejected_index) == ("a", "b", 0, 1)
    assert (pair.prompt_token_ids, pair.chosen_token_ids, pair.rejected_token_ids) == ((1, 5), (97, 2), (98, 2))
    assert pair.chosen_win_rate == pytest.approx(0.7)
    assert pair.rejected_win_rate == pytest.approx(0.8 / 3)
    assert (pair.chosen_beats_rejected, pair.policy.version) == (0.9, 3)
    # Mean order-averaged logits: (0 + 2 + 1) / 3 and (-2 + 0 - 1) / 3.
    assert (pair.chosen_score, pair.rejected_score) == (1.0, -1.0)


def candidate_set(texts: str) -> CandidateSet:
    candidates = tuple(Candidate(text=t, token_ids=(ord(t), 2), logprob=-1.5, finish_reason="stop") for t in texts)
    policy = PolicyRef(version=3, digest="sha256:3")
    return CandidateSet(prompt=prompts(1)[0], prompt_token_ids=(1, 5), prompt_text="Q", candidates=candidates, policy=policy)


def test_two_estimate_the_win_rate_as_in_the_papers_ablation() -> None:
    found = pairs_of(run_config(judge={"estimator_k": 2}), candidate_set("abc"), CLEAR, 0)
    assert not isinstance(found, NoPair)
    assert (found[0].chosen_win_rate, found[0].rejected_win_rate) == ((0.5 + 0.9) / 2, (0.5 + 0.1) / 2)
    drawn = pairs_of(run_config(judge={"estimator_k": 3}), candidate_set("abc"), CLEAR, 0)
    assert not isinstance(drawn, NoPair)
    assert drawn[0].chosen_win_rate == pytest.approx(0.7)


def test_all_trains_every_candidate_on_its_own_win_rate() -> None:
    everyone = run_config(selection={"name": "all"})
    found = pairs_of(everyone, candidate_set("abc"), CLEAR, 0)
    assert not isinstance(found, NoPair)
    assert [(pair.chosen_index, pair.rejected_index) for pair in found] == [(0, 2), (2, 1), (0, 1)]
    assert [pair.chosen_win_rate for pair in found] == pytest.approx([0.7, 1.6 / 3, 0.7])
    assert pairs_of(everyone, candidate_set("ab"), TIED, 0) is NoPair.TIED
    assert pairs_of(everyone, candidate_set("aaa"), CLEAR, 0) is NoPair.SAME_TEXT


def test_random_pairs_are_won_as_often_as_the_judge_says() -> None:
    selection = SelectionConfig(name="random")
    drawn = [choose(selection, ["a", "b", "c"], CLEAR, seed) for seed in range(900)]
    assert drawn == [choose(selection, ["a", "b", "c"], CLEAR, seed) for seed in range(900)]
    won = [pairs[0] for pairs in drawn if not isinstance(pairs, NoPair)]
    assert {frozenset(pair) for pair in won} == {frozenset((0, 1)), frozenset((0, 2)), frozenset((1, 2))}
    assert won.count((0, 1)) / (won.count((0, 1)) + won.count((1, 0))) == pytest.approx(0.9, abs=0.05)
    assert choose(selection, ["a", "a", "a"], CLEAR, 0) is NoPair.SAME_TEXT


def test_a_tournament_needs_only_its_own_games() -> None:
    n = math.nan
    logits, probs = [[0, 2, n], [-2, 0, n], [n, n, 0]], [[0.5, 0.9, 0.7], [0.1, 0.5, 0.2], [0.3, 0.8, 0.5]]
    played = matrix(logits, [[0.5, 0.9, 0.7], [0.1, 0.5, n], [0.3, n, 0.5]])
    # 0 beats 1 and the bye 2; for the worst the loser 1 meets 2, which is unknown here.
    with pytest.raises(ValueError, match=r"probs\[1\]\[2\] must be known"):
        choose(KNOCKOUT, ["a", "b", "c"], played)
    played = matrix(logits, probs)
    found = pairs_of(run_config(selection={"name": "knockout"}, algorithm={"name": "inpo"}), candidate_set("abc"), played, 0)
    assert not isinstance(found, NoPair)
    assert (found[0].chosen_index, found[0].rejected_index, found[0].chosen_score) == (0, 1, None)


def random_run(**changed: Any) -> RunConfig:
    return run_config(selection={"name": "random"}, **changed)


def test_random_has_no_more_judged_than_its_loss_looks_at() -> None:
    drawn = choose(SelectionConfig(name="random"), list("abcdefgh"), matrix([[0.0] * 8] * 8, [[0.5] * 8] * 8), 7)
    assert drawn in ([(5, 6)], [(6, 5)])
    assert pairs_to_judge(random_run(algorithm={"name": "inpo"}), 8, 7) == ((5, 6),)
    assert pairs_to_judge(random_run(algorithm={"name": "sppo", "targets": "pair"}), 8, 7) == ((5, 6),)
    against_all = (*((i, 5) for i in range(5)), *((i, 6) for i in range(6)), (5, 7), (6, 7))
    for algorithm in ({"name": "sppo"}, {"name": "rebel"}, {"name": "gpo"}):
        assert pairs_to_judge(random_run(algorithm=algorithm), 8, 7) == tuple(sorted(against_all))
    assert len(against_all) * 2 == 26


def test_random_with_an_estimate_of_few_has_only_these_judged() -> None:
    assert pairs_to_judge(random_run(judge={"estimator_k": 2}), 8, 7) == ((5, 6),)
    three = pairs_to_judge(random_run(judge={"estimator_k": 3}), 8, 7)
    assert three is not None and len(three) == 3 and (5, 6) in three
    assert len(pairs_to_judge(random_run(judge={"estimator_k": 3}, algorithm={"name": "gpo"}), 8, 7) or ()) == 13


def test_what_needs_the_whole_matrix_has_it_judged() -> None:
    assert pairs_to_judge(run_config(), 8, 7) is None
    assert pairs_to_judge(run_config(selection={"name": "all"}), 8, 7) is None
    assert pairs_to_judge(random_run(judge={"estimator": "official"}, algorithm={"name": "inpo"}), 8, 7) is None


def only(known: tuple[tuple[int, int], ...] | None, whole: PreferenceMatrix) -> PreferenceMatrix:
    """A matrix of which the judge was asked these pairs only."""
    assert known is not None
    asked = {*known, *((j, i) for i, j in known)}

    def part(rows: tuple[tuple[float, ...], ...]) -> list[list[float]]:
        return [[v if i == j or (i, j) in asked else math.nan for j, v in enumerate(row)] for i, row in enumerate(rows)]

    return matrix(part(whole.logits), part(whole.probs))


@pytest.mark.parametrize("judge", [{}, {"estimator_k": 2}, {"estimator_k": 3}])
@pytest.mark.parametrize("algorithm", ["sppo", "rebel", "gpo"])
def test_the_pair_of_random_is_the_same_as_if_all_had_been_judged(algorithm: str, judge: dict[str, int]) -> None:
    logits = [[0.0, 1.5, -0.5, 0.25], [-1.0, 0.0, 2.0, -1.25], [0.5, -2.5, 0.0, 0.75], [-0.25, 1.0, -0.75, 0.0]]
    probs = [[1 / (1 + math.exp(-(logits[i][j] - logits[j][i]) / 2)) for j in range(4)] for i in range(4)]
    whole = matrix(logits, probs)
    config = random_run(algorithm={"name": algorithm}, judge=judge)
    for seed in range(20):
        partly = pairs_of(config, candidate_set("abcd"), only(pairs_to_judge(config, 4, seed), whole), seed)
        fully = pairs_of(config, candidate_set("abcd"), whole, seed)
        assert not isinstance(partly, NoPair) and not isinstance(fully, NoPair)
        unseen = {"chosen_score": None, "rejected_score": None} if partly[0].chosen_score is None else {}
        assert partly == [fully[0].model_copy(update=unseen)]
        assert (partly[0].chosen_score is None) == (judge != {} and algorithm != "gpo")


def test_random_shows_the_win_rate_of_its_pair_where_nothing_else_was_judged() -> None:
    config = random_run(algorithm={"name": "inpo"})
    found = pairs_of(config, candidate_set("abc"), only(pairs_to_judge(config, 3, 0), CLEAR), 0)
    assert not isinstance(found, NoPair)
    (pair,) = found
    assert (pair.chosen_win_rate, pair.rejected_win_rate) == pytest.approx(
        ((0.5 + pair.chosen_beats_rejected) / 2, (1.5 - pair.chosen_beats_rejected) / 2)
    )
    assert pair.chosen_score is None


def test_with_an_odd_number_all_takes_every_answer_twice_with_an_even_one_once() -> None:
    four = matrix([[0, 2, 1, 1], [-2, 0, -1, 0], [-1, 1, 0, 1], [-1, 0, -1, 0]], [[0.5] * 4] * 4)
    assert choose(SelectionConfig(name="all"), list("abcd"), four) == [(0, 1), (2, 3)]
    assert choose(SelectionConfig(name="all"), list("abc"), CLEAR) == [(0, 2), (2, 1), (0, 1)]
