"""The questions of the small world: written as a prompt in one of several wordings, and read back."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from .words import EXTREMES, KIND_OF, KINDS, NUMBERS, extreme_of, with_article


class Task(StrEnum):
    """What a question asks for."""

    CHOOSE = "choose"
    """The one word of a list that is of a kind."""
    ODD = "odd"
    """The one word of a list that is not of a kind."""
    DESCRIBE = "describe"
    """The kind of one word."""
    YES_NO = "yes_no"
    """Whether a word is of a kind."""
    NAME = "name"
    """Any word of a kind, except those given."""
    NUMBER = "number"
    """The largest or smallest number of a list."""


WORDINGS: Final[dict[Task, tuple[str, ...]]] = {
    Task.CHOOSE: (
        "Which of these is {kind}: {items}?",
        "Find {kind} among these words: {items}.",
        "Of {items}, which is {kind}?",
        "One of these words is {kind}: {items}. Which one?",
    ),
    Task.ODD: (
        "Which of these is not {kind}: {items}?",
        "Find the word that is not {kind}: {items}.",
        "Of {items}, which is not {kind}?",
        "One of these words is not {kind}: {items}. Which one?",
    ),
    Task.DESCRIBE: (
        "What is {items}?",
        "What kind of thing is {items}?",
        "Tell me what {items} is.",
        "Describe {items} in a few words.",
        "Please say what {items} is.",
        "What does the word {items} mean?",
    ),
    Task.YES_NO: (
        "Is {items} {kind}?",
        "Tell me if {items} is {kind}.",
        "Would you call {items} {kind}?",
        "Yes or no: {items} is {kind}?",
    ),
    Task.NAME: (
        "Name {kind} that is not {items}.",
        "Give me {kind}, but not {items}.",
        "Tell me {kind} other than {items}.",
        "Can you name {kind} besides {items}?",
    ),
    Task.NUMBER: (
        "Which number is the {kind}: {items}?",
        "Find the {kind} number: {items}.",
        "Of the numbers {items}, which is the {kind}?",
        "Pick the {kind} of {items}.",
    ),
}


@dataclass(frozen=True, slots=True)
class Question:
    """One question. Question(Task.CHOOSE, 0, "fruit", ("saw", "plum")) is "Which of these is a fruit: saw, plum?".

    `kind` is the kind asked about, the extreme ("largest") of a number question, or "" where the task has none.
    """

    task: Task
    wording: int
    kind: str
    items: tuple[str, ...]

    @property
    def prompt(self) -> str:
        """The question as the text of a prompt."""
        kind = self.kind if self.task in (Task.NUMBER, Task.DESCRIBE) else with_article(self.kind)
        joiner = " or " if self.task is Task.NAME else ", "
        return WORDINGS[self.task][self.wording].format(kind=kind, items=joiner.join(self.items))

    @property
    def right_words(self) -> tuple[str, ...]:
        """Every word or number that answers the question; for yes/no and describe, the word asked about."""
        match self.task:
            case Task.CHOOSE:
                return tuple(word for word in self.items if KIND_OF[word] == self.kind)
            case Task.ODD:
                return tuple(word for word in self.items if KIND_OF[word] != self.kind)
            case Task.NAME:
                return tuple(word for word in KINDS[self.kind] if word not in self.items)
            case Task.NUMBER:
                return (extreme_of(self.kind, self.items),)
            case Task.DESCRIBE | Task.YES_NO:
                return self.items


def parse(prompt: str) -> Question:
    """Read a prompt back into its question. Raises ValueError for a text that no question is written as."""
    for task, wording, pattern in _PATTERNS:
        if found := pattern.fullmatch(prompt):
            fields = found.groupdict()
            kind = fields.get("kind", "").removeprefix("an ").removeprefix("a ")
            question = Question(task, wording, kind, tuple(re.split(", | or ", fields["items"])))
            # Writing it again catches a wrong article or joiner, which the patterns let through.
            if _well_formed(question) and question.prompt == prompt:
                return question
    raise ValueError(f"not a prompt of the small world: {prompt!r}")


def _well_formed(question: Question) -> bool:
    """Whether it makes sense: known words, a known kind, no repeats, and the right number of answers."""
    known, kinds = (NUMBERS, EXTREMES) if question.task is Task.NUMBER else (tuple(KIND_OF), tuple(KINDS))
    count = len(question.items)
    if len(set(question.items)) != count or any(item not in known for item in question.items):
        return False
    if question.task is Task.DESCRIBE:
        return count == 1
    if question.kind not in kinds:
        return False
    match question.task:
        case Task.YES_NO:
            return count == 1
        case Task.NAME:
            return count <= 2 and all(KIND_OF[item] == question.kind for item in question.items)
        case Task.ODD:
            return count == 3 and len(question.right_words) == 1
        case _:
            return count in (2, 3) and len(question.right_words) == 1


def _pattern(wording: str) -> re.Pattern[str]:
    text = re.escape(wording).replace(r"\{kind\}", r"(?P<kind>(?:an? )?[a-z]+)")
    return re.compile(text.replace(r"\{items\}", r"(?P<items>[a-z0-9]+(?:(?:, | or )[a-z0-9]+)*)"))


_PATTERNS: Final = tuple(
    (task, index, _pattern(wording)) for task, wordings in WORDINGS.items() for index, wording in enumerate(wordings)
)
