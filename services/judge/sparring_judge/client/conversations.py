"""Prompts and completions as trainers hold them, in the judge's terms."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from pydantic import ValidationError

from sparring_shared.errors import InvalidInput
from sparring_shared.records import Message
from sparring_shared.wire.judge import Conversation

Turns: TypeAlias = str | Sequence[Mapping[str, Any]]
"""A text, or messages `{"role", "content"}` whose content is a text or a list of parts."""


def conversation(prompt: Turns) -> Conversation:
    """The prompt as the judge takes it. Raises InvalidInput for a message that it cannot read."""
    if isinstance(prompt, str):
        return prompt
    try:
        return tuple(Message(role=turn["role"], content=text_of(turn.get("content"))) for turn in prompt)
    except (KeyError, ValidationError):
        raise InvalidInput("A message of a prompt has no role, or none of system, user and assistant; correct it.") from None


def answer(completion: Turns) -> str:
    """The answer in a completion: the text, or what the assistant said last; empty if it said nothing."""
    if isinstance(completion, str):
        return completion
    said = (text_of(turn.get("content")) for turn in reversed(completion) if turn.get("role") == "assistant")
    return next(said, "")


def text_of(content: Any) -> str:
    """The text of a message; of parts, those that are text.

    Raises InvalidInput for a content that is neither.
    """
    if isinstance(content, str):
        return content
    if content is None:
        return ""
    if not isinstance(content, list) or not all(isinstance(part, Mapping) for part in content):
        raise InvalidInput("The content of a message is neither a text nor a list of parts; correct it.")
    return "".join(part["text"] for part in content if isinstance(part.get("text"), str))
