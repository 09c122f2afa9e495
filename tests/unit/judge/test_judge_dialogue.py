import pytest

from sparring_judge.engines.models.length_batches import length_batches, padding
from sparring_judge.tasks.dialogue import latest_that_fit, plain_turns, without_system
from sparring_shared.records import Message

SYSTEM, USER, ANSWER = (
    Message(role="system", content="Be brief."),
    Message(role="user", content="hi"),
    Message(role="assistant", content="yo"),
)


def test_turns_in_plain_form() -> None:
    assert plain_turns([USER, ANSWER, USER]) == "\n\n<turn> user\n hi\n<turn> assistant\n yo\n<turn> user\n hi\n"


def test_a_system_message_begins_the_next_turn() -> None:
    assert plain_turns([SYSTEM, USER]) == "\n\n<turn> user\n Be brief.\n\nhi\n"
    assert without_system([USER, ANSWER]) == (USER, ANSWER)


@pytest.mark.parametrize(
    ("lengths", "room", "start"),
    [([5, 5, 5], 15, 0), ([5, 5, 5], 14, 2), ([5, 5, 5], 2, 2), ([9], 3, 0)],
)
def test_the_latest_turns_that_fit_begin_with_the_user(lengths: list[int], room: int, start: int) -> None:
    assert latest_that_fit(lengths, ["user", "assistant", "user"][: len(lengths)], room) == start


def test_a_system_message_goes_first() -> None:
    assert latest_that_fit([5, 5], ["system", "user"], 9) == 1


def test_batches_are_of_similar_length_and_bounded() -> None:
    lengths = [5, 3, 5, 4, 9, 20]
    batches = length_batches(lengths, max_tokens=15)
    assert batches == [[1, 3, 0], [2], [4], [5]]
    assert padding(lengths, batches) == 2 + 1
    assert length_batches([], 10) == []
