"""Texts and dialogues to token ids with a model's own tokenizer and chat template; the one module with its tokenizer class.

What looks like one of the model's special tokens in a text is broken by a space, so no text can end its turn or forge one.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from jinja2 import TemplateError
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from sparring_judge.tasks.dialogue import valid_text
from sparring_shared.errors import CheckpointMismatch, InvalidInput
from sparring_shared.records import Message

Ids: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class Encoded:
    """What a model reads: `ids` [N] and, for models that tell two texts apart, `types` [N], else empty."""

    ids: Ids
    types: Ids = ()


class ChatTokenizer:
    """A tokenizer with what the judges need of it."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer: Any = tokenizer  # its calls are typed as wider than they are
        special = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
        special |= set(tokenizer.all_special_tokens)
        longest_first = sorted(filter(None, special), key=len, reverse=True)
        self._special = re.compile("|".join(map(re.escape, longest_first)) or "(?!)")

    @property
    def has_template(self) -> bool:
        """Whether the tokenizer says how dialogues are written."""
        return self._tokenizer.chat_template is not None

    @property
    def longest(self) -> int:
        """How many tokens the tokenizer says the model reads; huge if it does not say."""
        return self._tokenizer.model_max_length

    def plain(self, text: str) -> str:
        """The text with special tokens broken. Raises InvalidInput for a text that is not valid Unicode."""
        return self._special.sub(lambda found: f"{found[0][0]} {found[0][1:]}", valid_text(text))

    def cut(self, text: str, room: int) -> tuple[str, int]:
        """As much of a text as fits into `room` tokens, and how many tokens the whole has."""
        read = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        tokens = len(read["input_ids"])
        kept = text if tokens <= max(room, 0) else text[: read["offset_mapping"][max(room, 0)][0]]
        return kept, tokens

    def dialogue(self, messages: Sequence[Message], *, answer_next: bool) -> str:
        """A dialogue by the chat template, up to where the assistant answers next if so wished.

        Raises InvalidInput for one that the template refuses.
        """
        turns = [message.model_dump() for message in messages]
        try:
            return self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=answer_next)
        except TemplateError as error:
            raise InvalidInput(f"The model's chat template refuses the conversation: {error}.") from None

    def without_bos(self, text: str) -> str:
        """The text without the token that begins every text, if it begins with it."""
        return text.removeprefix(self._tokenizer.bos_token or "")

    def ids(self, texts: Sequence[str]) -> list[Encoded]:
        """Token ids of texts that hold all their special tokens."""
        return [Encoded(tuple(ids)) for ids in self._tokenizer(list(texts), add_special_tokens=False)["input_ids"]]

    def pair(self, first: str, second: str) -> Encoded:
        """Token ids of two texts, with the special tokens that the tokenizer puts around them."""
        read = self._tokenizer(first, second)
        return Encoded(tuple(read["input_ids"]), tuple(read.get("token_type_ids", ())))

    def one_token(self, text: str) -> int:
        """The id of a text that is one token. Raises CheckpointMismatch if it is not."""
        ids = self._tokenizer.encode(text, add_special_tokens=False)
        if len(ids) != 1:
            raise CheckpointMismatch(f'"{text}" is {len(ids)} tokens of the model, not one; a pair-lm judge answers A or B.')
        return ids[0]


def load_chat_tokenizer(folder: Path, trust_remote_code: bool) -> ChatTokenizer:
    """The tokenizer of a model's folder. Raises CheckpointMismatch if there is none that tells where its tokens stand."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointMismatch(f"The tokenizer of {folder} cannot be loaded: {why}") from None
    if not tokenizer.is_fast:
        raise CheckpointMismatch(f"The tokenizer of {folder} is a slow one; save it with a tokenizer.json.")
    return ChatTokenizer(tokenizer)
