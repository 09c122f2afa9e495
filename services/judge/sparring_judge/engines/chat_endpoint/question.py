"""What a chat model is asked about two answers: a template with `{prompt}`, `{a}` and `{b}`, each filled in once."""

import re
from collections.abc import Mapping
from pathlib import Path

from sparring_shared.errors import InvalidInput

_PLACES = ("prompt", "a", "b")
_PLACE = re.compile(r"\{(prompt|a|b)\}")

DEFAULT_TEMPLATE = """You are an impartial judge of two answers to the same request.

# Request
{prompt}

# Answer A
{a}

# Answer B
{b}

# Your task
Which answer is better: more correct, more helpful, closer to what was asked for? Neither their order nor their length counts.
Reply with one letter and nothing else: A or B."""


def read_template(path: str | None) -> str:
    """The template in a file, or the default one. Raises InvalidInput for a file without all three places."""
    if path is None:
        return DEFAULT_TEMPLATE
    try:
        template = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise InvalidInput(f"SPARRING_JUDGE_TEMPLATE: {path} cannot be read; give a text file.") from None
    missing = [place for place in _PLACES if f"{{{place}}}" not in template]
    if missing:
        raise InvalidInput(f"SPARRING_JUDGE_TEMPLATE: {path} lacks {{{missing[0]}}}; it needs {{prompt}}, {{a}} and {{b}}.")
    return template


def fill(template: str, texts: Mapping[str, str]) -> str:
    """The question; what looks like a place in a text stays as it is.

    Example: `fill("{prompt}: {a} or {b}?", {"prompt": "2 + 2", "a": "4", "b": "{a}"})` is `"2 + 2: 4 or {a}?"`.
    """
    return _PLACE.sub(lambda place: texts[place[1]], template)
