"""Writes answers of every kind to a question: the material from which the demo's policy and judge learn."""

import random
from enum import StrEnum

from .checker import EVASIONS, OPENERS, Verdict
from .questions import Question, Task
from .words import EXTREMES, KIND_OF, KINDS, with_article


class AnswerKind(StrEnum):
    """How an answer is written, best first."""

    FULL = "full"
    """One right sentence."""
    SHORT = "short"
    """The right word alone."""
    RAMBLING = "rambling"
    """A right sentence after an empty one."""
    EVASIVE = "evasive"
    """No answer."""
    WRONG = "wrong"
    """A well-formed answer that is not right."""
    REPEATED = "repeated"
    """A right answer said several times."""
    GARBLED = "garbled"
    """The words of a right sentence, shuffled or cut."""

    @property
    def verdict(self) -> Verdict:
        """What the checker says of every answer of this kind."""
        match self:
            case AnswerKind.FULL | AnswerKind.SHORT | AnswerKind.RAMBLING:
                return Verdict.RIGHT
            case AnswerKind.EVASIVE:
                return Verdict.EVASIVE
            case AnswerKind.WRONG:
                return Verdict.WRONG
            case AnswerKind.REPEATED | AnswerKind.GARBLED:
                return Verdict.GARBLED


def write(question: Question, kind: AnswerKind, rng: random.Random) -> str:
    """An answer of a kind to a question; `check` gives it the verdict `kind.verdict`."""
    match kind:
        case AnswerKind.FULL:
            return _full(question, rng)
        case AnswerKind.SHORT:
            return _short(question, rng)
        case AnswerKind.RAMBLING:
            return f"{rng.choice(OPENERS)} {_full(question, rng)}"
        case AnswerKind.EVASIVE:
            return rng.choice(EVASIONS)
        case AnswerKind.WRONG:
            return _wrong(question, rng)
        case AnswerKind.REPEATED:
            return _repeated(question, rng)
        case AnswerKind.GARBLED:
            return _garbled(question, rng)


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def _says(word: str, kind: str, *, negated: bool = False) -> str:
    if kind in EXTREMES:
        return _sentence(f"{word} is the {kind}")
    return _sentence(f"{word} is {'not ' if negated else ''}{with_article(kind)}")


def _full(question: Question, rng: random.Random) -> str:
    word = rng.choice(question.right_words)
    match question.task:
        case Task.ODD:
            return _says(word, question.kind, negated=True)
        case Task.DESCRIBE:
            return _says(word, KIND_OF[word])
        case Task.YES_NO:
            return _yes_no(word, question.kind, yes=KIND_OF[word] == question.kind)
        case _:
            return _says(word, question.kind)


def _yes_no(word: str, kind: str, *, yes: bool) -> str:
    return _sentence(f"yes, {word} is {with_article(kind)}" if yes else f"no, {word} is not {with_article(kind)}")


def _short(question: Question, rng: random.Random) -> str:
    word = rng.choice(question.right_words)
    match question.task:
        case Task.DESCRIBE:
            return _sentence(with_article(KIND_OF[word]))
        case Task.YES_NO:
            return "Yes." if KIND_OF[word] == question.kind else "No."
        case _:
            return _sentence(word)


def _wrong(question: Question, rng: random.Random) -> str:
    short = rng.random() < 0.3
    word = rng.choice(_wrong_words(question))
    match question.task:
        case Task.YES_NO:
            yes = KIND_OF[word] != question.kind
            return ("Yes." if yes else "No.") if short else _yes_no(word, question.kind, yes=yes)
        case Task.DESCRIBE:
            kind = rng.choice([kind for kind in KINDS if kind != KIND_OF[word]])
            return _sentence(with_article(kind)) if short else _says(word, kind)
        case _:
            return _sentence(word) if short else _says(word, question.kind, negated=question.task is Task.ODD)


def _wrong_words(question: Question) -> tuple[str, ...]:
    """Words that make an answer wrong: from the question's own list where it has one, else from other kinds as well."""
    match question.task:
        case Task.DESCRIBE | Task.YES_NO:
            return question.items
        case Task.NAME:
            return question.items * 28 + tuple(word for word in KIND_OF if KIND_OF[word] != question.kind)
        case _:
            return tuple(word for word in question.items if word not in question.right_words)


def _repeated(question: Question, rng: random.Random) -> str:
    if rng.random() < 0.5:
        return " ".join([_full(question, rng)] * rng.choice((2, 3)))
    return " ".join([_short(question, rng)] * rng.choice((3, 4, 5)))


def _garbled(question: Question, rng: random.Random) -> str:
    words = _full(question, rng).rstrip(".").split(" ")
    if rng.random() < 0.4:
        return " ".join(words[: rng.randint(2, len(words) - 1)])
    mixed = words.copy()
    while mixed == words:
        rng.shuffle(mixed)
    return " ".join(mixed) + rng.choice(("", "."))
