"""One source read: which of its rows are prompts, and why the others are none."""

import hashlib
import json
from collections import Counter
from typing import Any, NamedTuple

from pydantic import ValidationError

from sparring_controller.rounds.prompts.rows import Bad, rows_of
from sparring_shared.errors import InvalidInput
from sparring_shared.prompt_sources import NamedSource
from sparring_shared.records import Message, Prompt, Record

HASH_DIGITS = 16
_SHOWN = 3
_CANONICAL = json.JSONEncoder(separators=(",", ":"))


class BadRows(Record):
    """How many rows of a source are no prompts for one reason, and where the first of them stand.

    Example: `BadRows(count=5, first=("line 3", "line 9", "line 11"))`.
    """

    count: int
    first: tuple[str, ...]

    def in_words(self) -> str:
        """E.g. `5 (line 3, line 9, line 11 ...)`."""
        return f"{self.count} ({', '.join(self.first)}{' ...' if self.count > len(self.first) else ''})"


class SourceReport(Record):
    """What became of the rows of a source: each was dropped, is a duplicate, is held out, or is one of the `prompts`.

    `duplicates` are rows whose prompt came before, in this source or in that of an earlier round. `prompts` are left to play
    (of `heldout_source`: to evaluate on). Of `answered` rows the answer at the end was left off. `revision` is the commit of a
    data set of the hub.
    """

    name: str
    source: str
    revision: str | None
    rows: int
    dropped: dict[str, BadRows]
    answered: int
    duplicates: int
    held_out: int
    prompts: int

    def dropped_in_words(self) -> str:
        """E.g. `not JSON: 2 (line 3, line 9); empty: 1 (line 4)`."""
        return "; ".join(f"{reason}: {rows.in_words()}" for reason, rows in self.dropped.items())


class SourcePrompts(NamedTuple):
    """The different prompts of a source by `prompt_id`, and its report as if there were no other source."""

    prompts: dict[str, Prompt]
    report: SourceReport


def read_source(named: NamedSource, max_bad: float) -> SourcePrompts:
    """All prompts of one source.

    Raises InvalidInput when it is not there, is damaged or empty, or more than the share `max_bad` of its rows are no prompts.
    """
    prompts: dict[str, Prompt] = {}
    bad: dict[str, list[str]] = {}
    advice: dict[str, str] = {}
    counts: Counter[str] = Counter()
    revision, rows = rows_of(named)
    for place, value in rows:
        counts["rows"] += 1
        messages = _messages(value, named)
        if isinstance(messages, Bad):
            bad.setdefault(messages.reason, []).append(place)
            advice.setdefault(*messages)
            continue
        asked = _without_answers(messages)
        counts["answered"] += len(asked) < len(messages)
        prompt = prompt_of(asked)
        counts["duplicates"] += prompt.prompt_id in prompts
        prompts[prompt.prompt_id] = prompt
    dropped = {reason: BadRows(count=len(places), first=tuple(places[:_SHOWN])) for reason, places in bad.items()}
    report = SourceReport(
        name=named.name,
        source=named.source.source,
        revision=revision,
        rows=counts["rows"],
        dropped=dropped,
        answered=counts["answered"],
        duplicates=counts["duplicates"],
        held_out=0,
        prompts=len(prompts),
    )
    _refuse(report, advice, max_bad)
    return SourcePrompts(prompts, report)


def prompt_of(messages: tuple[Message, ...]) -> Prompt:
    """The prompt with its id: the first 16 hex digits of the SHA-256 of its messages as canonical JSON."""
    canonical = _CANONICAL.encode([{"content": message.content, "role": message.role} for message in messages])
    return Prompt(prompt_id=hashlib.sha256(canonical.encode()).hexdigest()[:HASH_DIGITS], messages=messages)


def _refuse(report: SourceReport, advice: dict[str, str], max_bad: float) -> None:
    """Raises InvalidInput for a source without rows, or with too many bad ones."""
    if not report.rows:
        raise InvalidInput(f"{report.source} holds no prompts; give a file or dataset with at least two.")
    count = sum(rows.count for rows in report.dropped.values())
    if count > max_bad * report.rows:
        most = max(report.dropped, key=lambda reason: report.dropped[reason].count)
        raise InvalidInput(
            f"{report.source}: {count} of {report.rows} rows are no prompts, more than prompts.max_bad = {max_bad} allows "
            f"({report.dropped_in_words()}); {advice[most]}."
        )


def _messages(value: Any, named: NamedSource) -> tuple[Message, ...] | Bad:
    """The turns of one row, the last of which, but for answers, is a user's."""
    if isinstance(value, Bad):
        return value
    turns = [{"role": "user", "content": value}] if isinstance(value, str) else value
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        return Bad("neither a text nor a list of messages", f"choose another {named.key('column')}")
    try:
        messages = tuple(Message.model_validate({name: turn[name] for name in ("role", "content")}) for turn in turns)
    except (KeyError, ValidationError):
        return Bad(
            "a message without role and content", "each needs a role (system, user or assistant) and a text as its content"
        )
    asked = _without_answers(messages)
    if not asked or asked[-1].role != "user":
        return Bad("no user's turn to answer", f"correct them or choose another {named.key('column')}")
    if not asked[-1].content.strip():
        return Bad("empty", "remove them")
    try:
        "".join(message.content for message in asked).encode()
    except UnicodeEncodeError:
        return Bad("half a Unicode character", "correct them")
    return messages


def _without_answers(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The conversation up to the last turn that is not the assistant's."""
    end = len(messages)
    while end and messages[end - 1].role == "assistant":
        end -= 1
    return messages[:end]
