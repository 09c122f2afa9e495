"""Prompts of a run: read from a JSONL or Parquet file or a Hugging Face dataset, and split for good by their hash."""

import gzip
import hashlib
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from sparring_shared.errors import InvalidInput
from sparring_shared.records import Message, Prompt
from sparring_shared.run_config import PromptsConfig

log = logging.getLogger(__name__)

_JSON_LINES = (".jsonl", ".json", ".jsonl.gz", ".json.gz")
_DATASET_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_HASH_DIGITS = 16

Row = tuple[str, Any]
"""Where a prompt stands, for errors, and what its column holds: `("line 7 of prompts.jsonl", "What is zinc?")`."""


def is_file_source(source: str) -> bool:
    """Whether a source is a file, by its ending; else it is a dataset id."""
    return source.endswith((*_JSON_LINES, ".parquet"))


class PromptSplit(NamedTuple):
    """Prompts to play and prompts to evaluate on, each sorted by `prompt_id`; `duplicates` were dropped."""

    training: list[Prompt]
    heldout: list[Prompt]
    duplicates: int


def load_prompts(config: PromptsConfig) -> PromptSplit:
    """All prompts of the source. Whether one is held out depends on its messages and on `config.heldout` alone.

    Raises InvalidInput, with the line, for a source that is missing, empty or malformed, and when one of the two parts
    would be empty.
    """
    prompts: dict[str, Prompt] = {}
    rows = 0
    for place, value in _rows(config):
        prompt = _prompt(place, value)
        prompts[prompt.prompt_id] = prompt
        rows += 1
    if not prompts:
        raise InvalidInput(f"{config.source} holds no prompts; give a file or dataset with at least two.")
    ordered = [prompts[prompt_id] for prompt_id in sorted(prompts)]
    heldout = [prompt for prompt in ordered if is_heldout(prompt, config.heldout)]
    training = [prompt for prompt in ordered if not is_heldout(prompt, config.heldout)]
    if not heldout or not training:
        missing, change = ("held-out", "raise") if not heldout else ("training", "lower")
        raise InvalidInput(
            f"{config.source} leaves no {missing} prompts of {len(ordered)} at prompts.heldout = {config.heldout}; "
            f"give more prompts or {change} prompts.heldout."
        )
    if rows > len(ordered):
        log.info("%s: dropped %d duplicates of %d prompts", config.source, rows - len(ordered), rows)
    return PromptSplit(training, heldout, rows - len(ordered))


def require_prompt_file(config: PromptsConfig) -> None:
    """Raises InvalidInput for a prompt file that cannot be played; a dataset is looked at when the run is made."""
    if is_file_source(config.source) or Path(config.source).exists():
        load_prompts(config)


def prompt_of(messages: tuple[Message, ...]) -> Prompt:
    """The prompt with its id: the first 16 hex digits of the SHA-256 of its messages as canonical JSON."""
    canonical = json.dumps([message.model_dump() for message in messages], sort_keys=True, separators=(",", ":"))
    return Prompt(prompt_id=hashlib.sha256(canonical.encode()).hexdigest()[:_HASH_DIGITS], messages=messages)


def is_heldout(prompt: Prompt, share: float) -> bool:
    """Whether the prompt's hash, read as a fraction in [0, 1), lies below `share`."""
    return int(prompt.prompt_id, 16) / 16**_HASH_DIGITS < share


def _prompt(place: str, value: Any) -> Prompt:
    """The prompt of one row. Raises InvalidInput for what is neither a text nor a conversation that waits for an answer."""
    turns = [{"role": "user", "content": value}] if isinstance(value, str) else value
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise InvalidInput(f"{place} is neither a text nor a list of messages; choose another prompts.column.")
    try:
        messages = tuple(Message.model_validate({name: turn[name] for name in ("role", "content")}) for turn in turns)
    except (KeyError, ValidationError):
        raise InvalidInput(
            f"{place} has a message without a role (system, user or assistant) and a text as content; correct it."
        ) from None
    if not messages or messages[-1].role != "user":
        raise InvalidInput(f"{place} does not end with a user's turn; remove the answer at its end.")
    if not messages[-1].content.strip():
        raise InvalidInput(f"{place} is empty; remove it.")
    return prompt_of(messages)


def _rows(config: PromptsConfig) -> Iterator[Row]:
    path = Path(config.source)
    if is_file_source(config.source):
        if not path.is_file():
            raise InvalidInput(f"There is no prompt file at {path}; correct prompts.source.")
        return _parquet_rows(path, config.column) if path.suffix == ".parquet" else _json_rows(path, config.column)
    if path.exists() or not _DATASET_ID.fullmatch(config.source):
        raise InvalidInput(
            f"prompts.source is {config.source}; give a file that ends in .jsonl, .jsonl.gz or .parquet, or the id of a "
            "Hugging Face dataset."
        )
    return _dataset_rows(config)


def _no_column(place: str, column: str, columns: list[str]) -> InvalidInput:
    return InvalidInput(f"{place} has no column {column}; set prompts.column to one of {', '.join(columns) or '(none)'}.")


def _json_rows(path: Path, column: str) -> Iterator[Row]:
    open_text = gzip.open if path.suffix == ".gz" else open
    try:
        with open_text(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield _json_row(f"Line {number} of {path}", line, column)
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError) as error:
        raise InvalidInput(f"{path} cannot be read as JSON lines ({error}); write it anew as UTF-8.") from None


def _json_row(place: str, line: str, column: str) -> Row:
    try:
        value = json.loads(line)
    except json.JSONDecodeError:
        raise InvalidInput(f"{place} is not JSON; correct or remove it.") from None
    if not isinstance(value, dict):
        raise InvalidInput(f'{place} is not a JSON object; write one object a line, like {{"{column}": "What is zinc?"}}.')
    if column not in value:
        raise _no_column(place, column, list(value))
    return place, value[column]


def _parquet_rows(path: Path, column: str) -> Iterator[Row]:
    try:
        file = pq.ParquetFile(path)
    except pa.ArrowInvalid:
        raise InvalidInput(f"{path} is not a Parquet file; write it anew or correct prompts.source.") from None
    with file:
        if column not in file.schema_arrow.names:
            raise _no_column(str(path), column, file.schema_arrow.names)
        number = 0
        for batch in file.iter_batches(columns=[column]):
            for value in batch.column(0).to_pylist():
                number += 1
                yield f"Row {number} of {path}", value


def _dataset_rows(config: PromptsConfig) -> Iterator[Row]:
    try:
        # Imported only here: it takes seconds, and files do not need it.
        from datasets import load_dataset
    except ModuleNotFoundError:
        raise InvalidInput(
            f"prompts.source is {config.source}, but this controller runs without the package `datasets`; "
            "give a file that ends in .jsonl, .jsonl.gz or .parquet."
        ) from None
    try:
        dataset = load_dataset(config.source, config.subset, split=config.split)
    except (OSError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise InvalidInput(
            f"The Hugging Face dataset {config.source} (split {config.split}) cannot be loaded: {reason}; "
            "check prompts.source, prompts.subset, prompts.split and the network."
        ) from None
    columns = dataset.column_names
    if config.column not in columns:
        raise _no_column(f"The dataset {config.source}", config.column, columns)
    for number, value in enumerate(dataset[config.column], start=1):
        yield f"Row {number} of {config.source}", value
