"""A task: one prompt, its candidates and the games to play between them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from sparring_judge.tasks.prompt_text import prompt_text
from sparring_shared.errors import InvalidInput, SparringError
from sparring_shared.records import Message
from sparring_shared.wire.judge import RankItem

Game: TypeAlias = tuple[int, int]
"""(i, j): candidate i is shown first, candidate j second."""


@dataclass(frozen=True)
class Task:
    """One prompt, its K candidates and the games to play, e.g. `Task("2 + 2?", ("4", "5"), ((0, 1), (1, 0)))`.

    `messages` are the turns that `prompt` was made of, where it was sent as a conversation.
    """

    prompt: str
    candidates: tuple[str, ...]
    games: tuple[Game, ...]
    messages: tuple[Message, ...] = ()

    @property
    def conversation(self) -> tuple[Message, ...]:
        """The prompt as turns: those that were sent, else one of the user."""
        return self.messages or (Message(role="user", content=self.prompt),)


def new_task(item: RankItem, max_candidates: int) -> Task | SparringError:
    """The task of a rank item: both orders of each pair asked for, of all pairs if none are named; else what is wrong."""
    count = len(item.candidates)
    try:
        if not 1 <= count <= max_candidates:
            raise InvalidInput(f"The item holds {count} candidates; send 1 to {max_candidates}.")
        messages = () if isinstance(item.prompt, str) else item.prompt
        return Task(prompt_text(item.prompt), item.candidates, games(count, item.pairs), messages)
    except SparringError as error:
        return error


def game_count(item: RankItem) -> int:
    """How many games an item asks for at most: both orders of each pair that it names, or of all pairs."""
    count = len(item.candidates)
    return count * (count - 1) if item.pairs is None else 2 * len(item.pairs)


def games(count: int, pairs: Sequence[Game] | None = None) -> tuple[Game, ...]:
    """Both orders of the given pairs, or of all pairs of `count` candidates. Raises InvalidInput for a pair out of range."""
    if pairs is None:
        return tuple((i, j) for i in range(count) for j in range(count) if i != j)
    for i, j in pairs:
        if i == j or not (0 <= i < count and 0 <= j < count):
            raise InvalidInput(f"The pair [{i}, {j}] does not name two different candidates of 0 to {count - 1}.")
    return tuple(dict.fromkeys(game for i, j in pairs for game in ((i, j), (j, i))))
