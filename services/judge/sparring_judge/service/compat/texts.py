"""How a prompt and an answer are found in what other tools send."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from sparring_judge.service.compat.rewards import Answer
from sparring_shared.errors import InvalidInput
from sparring_shared.records import Message

_TAIL = 64
_BLOCK = 4096
_END_TOKENS_BACKWARDS = re.compile(
    r"(?:\s*+(?:>\|[^<>|\s]{1,30}\|<|>｜[^<>｜\s]{1,30}｜<|>s/<|>soe<|>dap<|>nrut_fo_dne<|\]DAP\[|\]SOE\[))*+"  # noqa: RUF001
)


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
    found = _END_TOKENS_BACKWARDS.match(text[::-1])
    assert found is not None
    return text[: len(text) - found.end()]


def answer_after(prompt: str, text: str) -> str:
    """The answer: what follows the prompt in `text`, which is both, without special tokens at its end.

    The callers decode token ids. A tokenizer may give other spaces back than it read, and a prompt that is too long is cut at
    its beginning, so where `text` does not start with the prompt its last 64 characters that are no spaces are looked for.
    Raises InvalidInput where they are not there.
    """
    if text.startswith(prompt):
        return without_end_tokens(text[len(prompt) :])
    tail = _squeezed(" ".join(prompt.rsplit(maxsplit=_TAIL)[-_TAIL:]))[-_TAIL:]
    found = _squeezed(text).find(tail) if tail else -1
    if found < 0:
        raise InvalidInput(
            "A text does not begin with its prompt, nor with the end of it; send the prompt and then the answer."
        )
    return without_end_tokens(text[_after(text, found + len(tail)) :])


def _squeezed(text: str) -> str:
    """The text without its spaces; block by block, as a list of all its words would take many times its size."""
    return "".join("".join(text[start : start + _BLOCK].split()) for start in range(0, len(text), _BLOCK))


def _after(text: str, signs: int) -> int:
    """The place behind the first so many characters of a text that are no spaces."""
    start = 0
    while (here := len(_squeezed(text[start : start + _BLOCK]))) < signs:
        signs -= here
        start += _BLOCK
    return [at for at, sign in enumerate(text[start : start + _BLOCK], start) if not sign.isspace()][signs - 1] + 1


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
