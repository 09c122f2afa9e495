from sparring_judge.engines.pairrm.passes import (
    Pass,
    SpecialIds,
    TokenisedTask,
    cut,
    distinct_games,
    even_groups,
    lay_out,
    padded_length,
)
from sparring_judge.tasks.units import Limits, Reading

SPECIAL = SpecialIds(cls=1, sep=2, source=91, candidate1=92, candidate2=93)


def test_a_pass_holds_three_framed_texts() -> None:
    assert lay_out((10, 11), (20,), (30, 31, 32), SPECIAL) == Pass(
        ids=(1, 91, 10, 11, 2, 1, 92, 20, 2, 1, 93, 30, 31, 32, 2), tags=(1, 6, 10)
    )


def test_empty_texts_keep_their_frame() -> None:
    assert lay_out((), (), (), SPECIAL) == Pass(ids=(1, 91, 2, 1, 92, 2, 1, 93, 2), tags=(1, 4, 7))


def test_a_short_source_leaves_half_its_room_to_each_candidate() -> None:
    # The source takes 5 of 9 tokens with its frame; (9 - 5) // 2 = 2 more for a candidate: 6 + 2 - 3 = 5 without frame.
    found = cut((7, 7), [(1, 2, 3, 4, 5), (1, 2, 3, 4, 5, 6)], Limits(9, 6))
    assert found == TokenisedTask((7, 7), ((1, 2, 3, 4, 5), (1, 2, 3, 4, 5)), Reading(2, False, (5, 6), (False, True)))


def test_a_long_source_leaves_candidates_their_own_limit() -> None:
    found = cut((1, 2, 3, 4, 5, 6, 7), [(1, 2, 3, 4)], Limits(9, 6))
    assert found == TokenisedTask((1, 2, 3, 4, 5, 6), ((1, 2, 3),), Reading(7, True, (4,), (True,)))


def test_a_pass_at_llm_blenders_limits_has_2048_tokens() -> None:
    task = cut((5,) * 9000, [(6,) * 9000], Limits(1224, 412))
    assert len(lay_out(task.source, task.candidates[0], task.candidates[0], SPECIAL).ids) == 2048
    task = cut((), [(6,) * 9000], Limits(1224, 412))
    assert len(lay_out(task.source, task.candidates[0], task.candidates[0], SPECIAL).ids) == 2047


def test_games_of_equal_candidates_are_played_once() -> None:
    task = TokenisedTask((), ((1,), (2,), (1,)), Reading(0, False, (1,) * 3, (False,) * 3))
    assert distinct_games(task, [(0, 1), (2, 1), (0, 2), (2, 0), (1, 0)]) == {
        (0, 1): (0, 1),
        (2, 1): (0, 1),
        (0, 2): (0, 2),
        (2, 0): (0, 2),
        (1, 0): (1, 0),
    }


def test_few_lengths_are_computed() -> None:
    assert [padded_length(n) for n in (1, 8, 9, 97, 256, 257, 300, 511, 550, 1025, 2048)] == [
        8, 8, 16, 104, 256, 272, 304, 512, 576, 1088, 2048,
    ]  # fmt: skip
    assert len({padded_length(n) for n in range(1, 2049)}) == 80
    assert all(n <= padded_length(n) <= max(n + 7, n * 17 / 16) for n in range(1, 2049))


def test_groups_are_of_one_length_and_their_sizes_are_powers_of_two() -> None:
    assert even_groups([16, 8, 16, 16, 24], max_tokens=100) == [[1], [0, 2], [3], [4]]
    assert even_groups([8] * 7, max_tokens=48) == [[0, 1, 2, 3], [4, 5], [6]]
    assert even_groups([8, 8], max_tokens=15) == [[0], [1]]
    assert even_groups([64], max_tokens=10) == [[0]]
    assert even_groups([], max_tokens=10) == []
