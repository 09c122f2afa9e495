"""What an engine is: it takes tasks and gives back their logits, nothing else. HTTP and probabilities lie above it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from sparring_judge.conversation import prompt_text
from sparring_shared.errors import InvalidInput, SparringError
from sparring_shared.preference import Floats
from sparring_shared.records import JudgeRef
from sparring_shared.wire.judge import RankItem

Game: TypeAlias = tuple[int, int]
"""(i, j): candidate i is shown first, candidate j second."""


@dataclass(frozen=True)
class Task:
    """One prompt, its K candidates and the games to play, e.g. `Task("2 + 2?", ("4", "5"), ((0, 1), (1, 0)))`."""

    prompt: str
    candidates: tuple[str, ...]
    games: tuple[Game, ...]


@dataclass(frozen=True)
class Judgement:
    """What an engine says of one task.

    `logits` [K, K]: C[i, j] > 0 when i, shown first, is better; diagonal 0, NaN where not asked. `truncated` [K]: only the
    beginning of the candidate was read; `source_truncated` the same of the prompt. `passes` and `tokens` were computed.
    """

    logits: Floats
    truncated: tuple[bool, ...]
    source_truncated: bool
    passes: int
    tokens: int


@dataclass(frozen=True)
class Limits:
    """Longest source and candidate in tokens, tag and separators included; a short source leaves room to candidates."""

    source_max_tokens: int
    candidate_max_tokens: int


class Judge(Protocol):
    """An engine. It need not be safe for several threads: one task list at a time."""

    ref: JudgeRef
    engine: str
    device: str
    limits: Limits

    def judge(self, tasks: Sequence[Task]) -> list[Judgement | SparringError]:
        """Judge each task; what is wrong with one task stands in its place and leaves its neighbours alone."""
        ...


def new_task(item: RankItem) -> Task | SparringError:
    """The task of a rank item: both orders of each pair asked for, of all pairs if none are named."""
    try:
        return Task(prompt_text(item.prompt), item.candidates, games(len(item.candidates), item.pairs))
    except SparringError as error:
        return error


def games(count: int, pairs: Sequence[Game] | None = None) -> tuple[Game, ...]:
    """Both orders of the given pairs, or of all pairs of `count` candidates. Raises InvalidInput for a pair out of range."""
    if pairs is None:
        return tuple((i, j) for i in range(count) for j in range(count) if i != j)
    for i, j in pairs:
        if i == j or not (0 <= i < count and 0 <= j < count):
            raise InvalidInput(f"The pair [{i}, {j}] does not name two different candidates of 0 to {count - 1}.")
    return tuple(dict.fromkeys(game for i, j in pairs for game in ((i, j), (j, i))))
