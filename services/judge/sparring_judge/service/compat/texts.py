"""How a prompt and an answer are found in what other tools send."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from sparring_judge.service.compat.rewards import Answer
from sparring_shared.errors import InvalidInput
from sparring_shared.records import Message

_TAIL = 64
_END_TOKEN = re.compile(r"(<\|[^<>|\s]{1,30}\|>|<｜[^<>｜\s]{1,30}｜>|</s>|<eos>|<pad>|<end_of_turn>|\[PAD\]|\[EOS\])\Z")  # noqa: RUF001
_LONGEST_END_TOKEN = 40


class Body(BaseModel):
    """Base of what other tools send and read: keys that mean nothing to a judge are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


def _well_formed(text: str) -> str:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"holds half a surrogate pair at character {error.start}; send valid Unicode") from None
    return text


def _joined(value: Any) -> Any:
    """Texts also come as `{"text": "..."}` and as `{"content": [{"type": "text", "text": "..."}]}`."""
    if not isinstance(value, dict):
        return value
    parts = value.get("content", [value])
    if (
        isinstance(parts, list)
        and parts
        and all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in parts)
    ):
        return "".join(part["text"] for part in parts)
    raise ValueError("holds something else than text; this judge reads text only")


PlainText = Annotated[str, AfterValidator(_well_formed)]
"""A text that can be sent back as JSON."""

Text = Annotated[PlainText, BeforeValidator(_joined)]
"""A text, or an object around one."""


def _several(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else (value,)


Texts = Annotated[tuple[Text, ...], BeforeValidator(_several, json_schema_input_type=Text | list[Text])]
"""Texts, or one alone."""


class Turn(Body):
    """One message of a conversation, in OpenAI's shape; a developer is a system by a newer name."""

    role: str
    content: Annotated[
        PlainText, BeforeValidator(lambda value: _joined({"content": value}) if isinstance(value, list) else value)
    ]

    def message(self) -> Message:
        """The turn as a message. Raises InvalidInput for a role that a judge does not know."""
        match self.role:
            case "system" | "developer":
                return Message(role="system", content=self.content)
            case "user":
                return Message(role="user", content=self.content)
            case "assistant":
                return Message(role="assistant", content=self.content)
            case _:
                raise InvalidInput(f"A message has the role {self.role!r}; send system, user or assistant.")


def without_end_tokens(text: str) -> str:
    """The text without the special tokens at its end, such as `</s>`, `<|im_end|>` or padding."""
    cut = end = len(text)
    while True:
        while end and text[end - 1].isspace():
            end -= 1
        found = _END_TOKEN.search(text, max(0, end - _LONGEST_END_TOKEN), end)
        if found is None:
            return text[:cut]
        cut = end = found.start()


def answer_after(prompt: str, text: str) -> str:
    """The answer: what follows the prompt in `text`, which is both, without special tokens at its end.

    The callers decode token ids. A tokenizer may give other spaces back than it read, and a prompt that is too long is cut at
    its beginning, so where `text` does not start with the prompt its last 64 characters that are no spaces are looked for.
    Raises InvalidInput where they are not there.
    """
    if text.startswith(prompt):
        return without_end_tokens(text[len(prompt) :])
    tail = "".join(prompt.split())[-_TAIL:]
    places = [at for at, sign in enumerate(text) if not sign.isspace()]
    found = "".join(text[at] for at in places).find(tail) if tail else -1
    if found < 0:
        raise InvalidInput(
            "A text does not begin with its prompt, nor with the end of it; send the prompt and then the answer."
        )
    return without_end_tokens(text[places[found + len(tail) - 1] + 1 :])


def split_text(text: str, marker: str | None) -> Answer:
    """A whole text as prompt and answer, parted after the last `marker`; without one the prompt is not known.

    Raises InvalidInput where the text does not hold the marker.
    """
    if not marker:
        return Answer(None, without_end_tokens(text))
    prompt, found, answer = text.rpartition(marker)
    if not found:
        raise InvalidInput(f"A text does not hold {marker!r}, which answer_after names; correct it or leave it out.")
    return Answer(prompt + marker, without_end_tokens(answer))
