"""How a prompt becomes the one text that the judge reads."""

from sparring_shared.errors import InvalidInput
from sparring_shared.wire.judge import Conversation

_SPEAKERS = {"user": "USER", "assistant": "Assistant"}


def prompt_text(prompt: Conversation) -> str:
    """The prompt as plain text: a text as it is, a single user turn as its content.

    More turns become lines `USER: ...` and `Assistant: ...`; a system message comes first, without a name. Raises
    InvalidInput for a conversation that does not end with the user's turn.

    Example: `prompt_text((Message(role="user", content="hi"),))` is `"hi"`.
    """
    if isinstance(prompt, str):
        return prompt
    if prompt[-1].role != "user":
        raise InvalidInput(f"The prompt ends with a message of the {prompt[-1].role}; it must end with one of the user.")
    alone = sum(message.role != "system" for message in prompt) == 1
    return "\n".join(
        message.content if alone or message.role == "system" else f"{_SPEAKERS[message.role]}: {message.content}"
        for message in prompt
    )
