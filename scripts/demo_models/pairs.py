"""Pairs of answers with a target preference, from which the judge learns."""

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import exp
from typing import Final

from sparring_controller.demo.small_world import AnswerKind, Question, Task, Verdict, check, parse, write
from sparring_controller.demo.small_world.checker import OPENERS
from sparring_controller.demo.small_world.questions import WORDINGS
from sparring_controller.demo.small_world.words import KINDS

from .material import QuestionPool, draw_kind
from .sampling import Sample

# The judge's taste, as Bradley-Terry strengths: the target of a pair is the sigmoid of the difference.
STRENGTHS: Final[dict[AnswerKind, float]] = {
    AnswerKind.FULL: 2.5,
    AnswerKind.SHORT: 2.0,
    AnswerKind.RAMBLING: 1.5,
    AnswerKind.EVASIVE: 0.0,
    AnswerKind.WRONG: -1.5,
    AnswerKind.REPEATED: -2.0,
    AnswerKind.GARBLED: -2.5,
}
ANSWER_KINDS: Final = tuple(AnswerKind)
# Whether a statement is true is harder to learn than how it is written: right and wrong answers come most often.
_KIND_WEIGHTS: Final[dict[AnswerKind, float]] = {
    AnswerKind.FULL: 0.24,
    AnswerKind.SHORT: 0.14,
    AnswerKind.RAMBLING: 0.12,
    AnswerKind.EVASIVE: 0.08,
    AnswerKind.WRONG: 0.3,
    AnswerKind.REPEATED: 0.05,
    AnswerKind.GARBLED: 0.07,
}
# The hard tasks come more often: the truth of a yes or no stands in no word of the answer, and what name excludes is a word
# of the prompt like any other.
_TASK_WEIGHTS: Final[dict[Task, float]] = {task: 2.0 if task in (Task.YES_NO, Task.NAME) else 1.0 for task in Task}


@dataclass(frozen=True, slots=True)
class JudgedPair:
    """Two answers to one prompt, their kinds, and the probability with which the left one is to win."""

    prompt: str
    left: str
    right: str
    left_kind: AnswerKind
    right_kind: AnswerKind

    @property
    def target(self) -> float:
        """P(left beats right)."""
        return 1.0 / (1.0 + exp(STRENGTHS[self.right_kind] - STRENGTHS[self.left_kind]))


def draw_task(rng: random.Random) -> Task:
    """A task, the hard ones more often than the others."""
    return rng.choices(tuple(_TASK_WEIGHTS), tuple(_TASK_WEIGHTS.values()))[0]


def kind_of(prompt: str, answer: str) -> AnswerKind:
    """The kind of an answer that was not written from the grammar, such as a policy's."""
    match check(prompt, answer):
        case Verdict.EVASIVE:
            return AnswerKind.EVASIVE
        case Verdict.WRONG:
            return AnswerKind.WRONG
        case Verdict.GARBLED:
            return AnswerKind.GARBLED
        case Verdict.RIGHT:
            if answer.startswith(OPENERS):
                return AnswerKind.RAMBLING
            return AnswerKind.SHORT if len(answer.split()) <= 2 else AnswerKind.FULL


def _judged(prompt: str, left: str, right: str) -> JudgedPair:
    return JudgedPair(prompt, left, right, kind_of(prompt, left), kind_of(prompt, right))


def grammar_pair(pool: QuestionPool, rng: random.Random) -> JudgedPair:
    """Two answers written from the grammar."""
    task = draw_task(rng)
    question = _long_name(rng) if task is Task.NAME and rng.random() < 0.6 else pool.draw(rng, task)
    while True:
        left_kind, right_kind = draw_kind(_KIND_WEIGHTS, rng), draw_kind(_KIND_WEIGHTS, rng)
        left, right = write(question, left_kind, rng), write(question, right_kind, rng)
        if left != right:
            return JudgedPair(question.prompt, left, right, left_kind, right_kind)


def _long_name(rng: random.Random) -> Question:
    """A name question that excludes more words than the world's do, so it is in none of its splits.

    The world has so few name questions that a judge learns them by heart, unless it meets many others.
    """
    kind = rng.choice(tuple(KINDS))
    wording = rng.randrange(len(WORDINGS[Task.NAME]))
    return Question(Task.NAME, wording, kind, tuple(rng.sample(KINDS[kind], rng.randint(3, 5))))


def hard_pair(pool: QuestionPool, rng: random.Random) -> JudgedPair:
    """A right answer, and a fluent one that is right for another prompt of the same task."""
    task = draw_task(rng)
    while True:
        question, other = pool.draw(rng, task), pool.draw(rng, task)
        texts = [write(asked, draw_right(rng), rng) for asked in (question, other)]
        rng.shuffle(texts)
        if texts[0] != texts[1]:
            return _judged(question.prompt, texts[0], texts[1])


def draw_right(rng: random.Random) -> AnswerKind:
    """A kind of right answer."""
    return rng.choice((AnswerKind.FULL, AnswerKind.FULL, AnswerKind.SHORT, AnswerKind.RAMBLING))


class SampledPairs:
    """Pairs of a policy's different answers to the same prompt, labelled by the checker."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        by_prompt: dict[str, list[str]] = {}
        for one in samples:
            by_prompt.setdefault(one.prompt, []).append(one.answer)
        distinct = {prompt: sorted(set(answers)) for prompt, answers in by_prompt.items()}
        self._answers: Mapping[str, list[str]] = {prompt: answers for prompt, answers in distinct.items() if len(answers) > 1}
        self._prompts: dict[Task, list[str]] = {task: [] for task in Task}
        for prompt in self._answers:
            self._prompts[parse(prompt).task].append(prompt)

    def draw(self, rng: random.Random) -> JudgedPair:
        """One pair; of the same verdict less often than chance would have it."""
        prompt = rng.choice(self._prompts[draw_task(rng)])
        tries = [_judged(prompt, *rng.sample(self._answers[prompt], 2)) for _ in range(3)]
        return next((pair for pair in tries if pair.left_kind.verdict is not pair.right_kind.verdict), tries[0])

    def right_over(self, worse: Collection[Verdict]) -> list[tuple[str, str, str]]:
        """Every (prompt, right answer, answer with one of the worse verdicts)."""
        return [
            (prompt, good, bad)
            for prompt, answers in self._answers.items()
            for good in answers
            for bad in answers
            if check(prompt, good) is Verdict.RIGHT and check(prompt, bad) in worse
        ]
