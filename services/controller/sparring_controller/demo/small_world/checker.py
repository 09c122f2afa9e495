"""The exact checker: reads the prompt and the answer and says what the answer is worth. The judge never sees it run."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from .questions import Question, Task, parse
from .words import EXTREMES, KIND_OF, KINDS, NUMBERS

EVASIONS: Final[tuple[str, ...]] = (
    "I am not sure.",
    "That is hard to say.",
    "It depends.",
    "I would rather not say.",
    "Nobody can know that.",
)
OPENERS: Final[tuple[str, ...]] = (
    "Well, that is a good question.",
    "Let me think about it for a while.",
    "There is a lot one could say here.",
    "I have looked at it again and again.",
)


class Verdict(StrEnum):
    """What an answer is worth."""

    RIGHT = "right"
    """Everything it says is true and it answers the question; it may ramble first."""
    EVASIVE = "evasive"
    """It declines to answer."""
    WRONG = "wrong"
    """A well-formed statement that is false or answers another question."""
    GARBLED = "garbled"
    """Not one well-formed statement: cut, shuffled, repeated or empty."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What an answer says; None for each part that it leaves out. "No, saw is a tool." is Claim(False, "saw", "tool").

    `kind` is a kind or an extreme ("largest"); `negated` means "is not".
    """

    yes: bool | None = None
    subject: str | None = None
    kind: str | None = None
    negated: bool = False


def check(prompt: str, answer: str) -> Verdict:
    """The verdict on an answer to a prompt. Raises ValueError when the prompt is not of the small world.

    >>> check("Which of these is a fruit: saw, plum?", "Plum is a fruit.")
    <Verdict.RIGHT: 'right'>
    """
    question = parse(prompt)
    text = _without_opener(" ".join(answer.split()).lower())
    if text in _EVASIONS:
        return Verdict.EVASIVE
    claim = read_claim(text)
    if claim is None:
        return Verdict.GARBLED
    return Verdict.RIGHT if _answers(question, claim) else Verdict.WRONG


def read_claim(statement: str) -> Claim | None:
    """The claim of one lower-case statement, or None when it is not well formed. The final full stop may be missing."""
    found = _STATEMENT.fullmatch(statement)
    if not found:
        return None
    fields = found.groupdict()
    said = fields["yes"] or fields["bare_yes"]
    yes = None if said is None else said == "yes"
    kind = fields["kind"] or fields["bare"] or fields["extreme"]
    return Claim(yes, fields["word"] or fields["number"] or fields["alone"], kind, bool(fields["negated"]))


def _without_opener(text: str) -> str:
    for opener in _OPENERS:
        if text.startswith(opener):
            return text.removeprefix(opener).strip()
    return text


def _answers(question: Question, claim: Claim) -> bool:
    match question.task:
        case Task.YES_NO:
            return _answers_yes_no(question, claim)
        case Task.DESCRIBE:
            word = question.items[0]
            named = claim.subject in (None, word) and claim.kind == KIND_OF[word]
            return named and not claim.negated and claim.yes is None
        case _:
            return claim.yes is None and claim.subject in question.right_words and _true(question, claim)


def _answers_yes_no(question: Question, claim: Claim) -> bool:
    truth = KIND_OF[question.items[0]] == question.kind
    if claim.yes is not None and claim.yes != truth:
        return False
    if claim.subject is None:
        return claim.yes is not None and claim.kind is None
    return claim.subject == question.items[0] and claim.kind is not None and _true(question, claim)


def _true(question: Question, claim: Claim) -> bool:
    """Whether what the claim says of its subject holds; a claim that says nothing of it holds."""
    if claim.kind is None:
        return True
    if question.task is Task.NUMBER:
        return claim.kind == question.kind and not claim.negated
    return (KIND_OF.get(claim.subject or "") == claim.kind) != claim.negated


_EVASIONS: Final = frozenset(text.lower() for text in EVASIONS)
_OPENERS: Final = tuple(text.lower() for text in OPENERS)
_WORD: Final = "|".join(KIND_OF)
_NUMBER: Final = "|".join(NUMBERS)
_VOWEL_KINDS: Final = "|".join(kind for kind in KINDS if kind[0] in "aeiou")
_OTHER_KINDS: Final = "|".join(kind for kind in KINDS if kind[0] not in "aeiou")


def _kind(name: str) -> str:
    """A pattern for a kind with its right article; the group called `name` holds the kind alone."""
    return rf"(?:an (?=(?:{_VOWEL_KINDS})\b)|a (?=(?:{_OTHER_KINDS})\b))(?P<{name}>{_VOWEL_KINDS}|{_OTHER_KINDS})"


# "yes", "yes, saw is a tool", "saw is not a fruit", "a tool", "saw", "17 is the largest", "17"
_STATEMENT: Final = re.compile(
    rf"(?:(?:(?P<yes>yes|no), )?(?P<word>{_WORD}) is (?P<negated>not )?{_kind('kind')}"
    rf"|(?P<number>{_NUMBER}) is the (?P<extreme>{'|'.join(EXTREMES)})"
    rf"|{_kind('bare')}"
    rf"|(?P<bare_yes>yes|no)"
    rf"|(?P<alone>{_WORD}|{_NUMBER}))"
    r"\.?"
)
