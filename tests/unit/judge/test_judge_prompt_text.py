import pytest

from sparring_judge.tasks.prompt_text import prompt_text
from sparring_shared.errors import InvalidInput
from sparring_shared.records import Message


def say(*turns: tuple[str, str]) -> tuple[Message, ...]:
    return tuple(Message.model_validate({"role": role, "content": content}) for role, content in turns)


def test_a_text_stays_as_it_is() -> None:
    assert prompt_text(" hi\n") == " hi\n"


def test_a_single_user_turn_is_its_content() -> None:
    assert prompt_text(say(("user", "hi"))) == "hi"


def test_a_system_message_comes_first_without_a_name() -> None:
    assert prompt_text(say(("system", "Be kind."), ("user", "hi"))) == "Be kind.\nhi"


def test_more_turns_are_named() -> None:
    turns = say(("system", "Be kind."), ("user", "hi"), ("assistant", "hello"), ("user", "2 + 2?"))
    assert prompt_text(turns) == "Be kind.\nUSER: hi\nAssistant: hello\nUSER: 2 + 2?"


def test_a_conversation_that_ends_otherwise_is_refused() -> None:
    with pytest.raises(InvalidInput, match="must end with one of the user"):
        prompt_text(say(("user", "hi"), ("assistant", "hello")))
