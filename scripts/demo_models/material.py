"""Training material from the small world: prompts of the `models` split, tasks in equal parts."""

import random
from collections.abc import Mapping

from sparring_controller.demo.small_world import AnswerKind, Question, Split, Task, parse, prompts

_POOL = 12_000


class QuestionPool:
    """Questions of the `models` split, drawn with replacement so that each task is equally likely."""

    def __init__(self, seed: int) -> None:
        self._by_task: dict[Task, list[Question]] = {task: [] for task in Task}
        for prompt in prompts(Split.MODELS, _POOL, seed):
            question = parse(prompt)
            self._by_task[question.task].append(question)

    def draw(self, rng: random.Random, task: Task | None = None) -> Question:
        """One question, of a given task if one is named."""
        return rng.choice(self._by_task[task or rng.choice(tuple(Task))])


def draw_kind(weights: Mapping[AnswerKind, float], rng: random.Random) -> AnswerKind:
    """One kind of answer, drawn by weight."""
    return rng.choices(tuple(weights), tuple(weights.values()))[0]
