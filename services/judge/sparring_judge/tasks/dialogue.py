"""Dialogues as texts: the plain form that pair models read, and what is left out of a dialogue that is too long."""

from collections.abc import Sequence

from sparring_shared.errors import InvalidInput
from sparring_shared.records import Message


def valid_text(text: str) -> str:
    """The text itself. Raises InvalidInput for one that is not valid Unicode."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(f"A text holds half a surrogate pair at character {error.start}; send valid Unicode.") from None
    return text


def plain_turns(messages: Sequence[Message]) -> str:
    """The `<turn> user` / `<turn> assistant` form of RLHFlow's pair preference models; they know no system message, so
    one is put before the user's first words.

    Example: `plain_turns([Message(role="user", content="hi")])` is `"\\n\\n<turn> user\\n hi\\n"`.
    """
    return "\n" + "".join(f"\n<turn> {turn.role}\n {turn.content}" for turn in without_system(messages)) + "\n"


def without_system(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The turns of user and assistant; what the system says begins the turn after it, with an empty line between."""
    turns: list[Message] = []
    said = ""
    for message in messages:
        if message.role == "system":
            said += message.content + "\n\n"
        else:
            turns.append(message.model_copy(update={"content": said + message.content}))
            said = ""
    return tuple(turns)


def latest_that_fit(lengths: Sequence[int], roles: Sequence[str], room: int) -> int:
    """From which turn on a dialogue fits into `room` tokens; it begins with the user and holds the last turn at least.

    Example: `latest_that_fit([50, 20, 10], ["user", "assistant", "user"], 40)` is 2, as turn 1 is the assistant's.
    """
    last = len(lengths) - 1
    start = 0
    while start < last and (sum(lengths[start:]) > room or (start and roles[start] == "assistant")):
        start += 1
    return start
