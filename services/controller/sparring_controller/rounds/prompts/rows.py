"""Rows of a source: JSON lines or Parquet, in a file or in a data set of the hub."""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from sparring_controller.rounds.prompts.hub_files import dataset_files, is_dataset_id
from sparring_shared.errors import InvalidInput
from sparring_shared.prompt_sources import NamedSource

_JSON_LINES = (".jsonl", ".json", ".jsonl.gz", ".json.gz")


class Bad(NamedTuple):
    """Why a row is no prompt, and what to do: `Bad("not JSON", "correct or remove what is no JSON object")`."""

    reason: str
    advice: str


Row = tuple[str, Any]
"""Where a row stands, and what its column holds, or `Bad`: `("line 7", "What is zinc?")`."""


class Rows(NamedTuple):
    """The rows of a source; `revision` is the commit of a data set of the hub."""

    revision: str | None
    rows: Iterator[Row]


def is_file_source(source: str) -> bool:
    """Whether a source is a file, by its ending; else it is a dataset id."""
    return source.endswith((*_JSON_LINES, ".parquet"))


def rows_of(named: NamedSource) -> Rows:
    """The rows of a source. Raises InvalidInput for one that is not there, and while they are read for a damaged file."""
    source = named.source.source
    path = Path(source)
    if is_file_source(source):
        if not path.is_file():
            raise InvalidInput(f"There is no prompt file at {path}; correct {named.key('source')}.")
        return Rows(None, _file_rows(path, named))
    if path.exists() or not is_dataset_id(source):
        raise InvalidInput(
            f"{named.key('source')} is {source}; give a file that ends in .jsonl, .jsonl.gz or .parquet, or the id of a "
            "Hugging Face dataset."
        )
    files = dataset_files(named)
    found = ((f"{place} of {path.name}", value) for path in files.paths for place, value in _file_rows(path, named))
    return Rows(files.revision, found)


def _file_rows(path: Path, named: NamedSource) -> Iterator[Row]:
    return _parquet_rows(path, named) if path.suffix == ".parquet" else _json_rows(path, named)


def _json_rows(path: Path, named: NamedSource) -> Iterator[Row]:
    open_lines = gzip.open if path.suffix == ".gz" else open
    try:
        with open_lines(path, "rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield f"line {number}", _json_value(line, named)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InvalidInput(f"{path} cannot be read as JSON lines ({error}); write it anew.") from None


def _json_value(line: bytes, named: NamedSource) -> Any:
    column = named.source.column
    try:
        value = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError):  # no UTF-8, no JSON, or a number of thousands of digits
        return Bad("not JSON", "correct or remove them")
    if not isinstance(value, dict):
        return Bad("not a JSON object", f'write one object a line, like {{"{column}": "What is zinc?"}}')
    return value[column] if column in value else Bad(f"no column {column}", _other_column(named, list(value)))


def _other_column(named: NamedSource, columns: list[str]) -> str:
    return f"set {named.key('column')} to one of {', '.join(columns) or '(none)'}"


def _parquet_rows(path: Path, named: NamedSource) -> Iterator[Row]:
    column = named.source.column
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            if column not in file.schema_arrow.names:
                raise InvalidInput(f"{path} has no column {column}; {_other_column(named, file.schema_arrow.names)}.")
            for batch in file.iter_batches(columns=[column]):
                for value in batch.column(0).to_pylist():
                    number += 1
                    yield f"row {number}", value
    except (pa.ArrowInvalid, OSError, UnicodeDecodeError):
        raise InvalidInput(f"{path} is not a whole Parquet file; write it anew or correct {named.key('source')}.") from None
