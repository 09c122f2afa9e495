"""INPO's tournament over the prompts of a shard, asking the judge only for the games that are played."""

import math
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

from sparring_controller.rounds.asking import shown
from sparring_controller.rounds.stages.work import Work
from sparring_shared.preference import knockout_games
from sparring_shared.records import CandidateSet, JudgeRef, PreferenceMatrix
from sparring_shared.wire.judge import ItemError, RankItem, RankResult

Matrix = list[list[float]]


def play_tournaments(work: Work, sets: Sequence[CandidateSet], dropped: Counter[str]) -> list[PreferenceMatrix]:
    """Preference matrices that are NaN but for the games played: 11 of 28 pairs at K = 8 (INPO, section 4).

    All prompts play side by side: each request holds the next game of every tournament that goes on.
    """
    boards = [_Board.of(row) for row in sets]
    while waiting := [board for board in boards if board.game is not None]:
        work.check()
        items = [
            RankItem(
                prompt=shown(board.row, templated=work.config.judge.templated), candidates=board.texts, pairs=(board.turn,)
            )
            for board in waiting
        ]
        response = work.services.judge.rank(items, "pairwise")
        for board, result in zip(waiting, response.items, strict=True):
            if isinstance(result, ItemError):
                dropped[f"judge: {result.error.type}"] += 1
                board.game, board.failed = None, True
            else:
                board.play(result, response.judge)
    return [board.matrix() for board in boards if not board.failed]


@dataclass
class _Board:
    """One tournament: the game that is to be judged next (None at the end), and what is known so far."""

    row: CandidateSet
    games: Generator[tuple[int, int], float, object]
    game: tuple[int, int] | None
    logits: Matrix
    probs: Matrix
    truncated: list[bool]
    judge: JudgeRef | None = None
    failed: bool = field(default=False)

    @classmethod
    def of(cls, row: CandidateSet) -> "_Board":
        """The board before its first game."""
        k = len(row.candidates)
        games = knockout_games(k)
        return cls(row, games, next(games), _unknown(k, 0.0), _unknown(k, 0.5), [False] * k)

    @property
    def texts(self) -> tuple[str, ...]:
        """The answers that play."""
        return tuple(candidate.text for candidate in self.row.candidates)

    @property
    def turn(self) -> tuple[int, int]:
        """The game that is waited for."""
        assert self.game is not None
        return self.game

    def play(self, result: RankResult, judge: JudgeRef) -> None:
        """Take in the judge's answer to the game, and move on to the next."""
        i, j = self.turn
        for a, b in ((i, j), (j, i)):
            self.logits[a][b], self.probs[a][b] = _known(result.logits[a][b]), _known(result.probs[a][b])
        self.truncated = [seen or now for seen, now in zip(self.truncated, result.truncated, strict=True)]
        self.judge = judge
        try:
            self.game = self.games.send(self.probs[i][j])
        except StopIteration:
            self.game = None

    def matrix(self) -> PreferenceMatrix:
        """What is known at the end."""
        assert self.judge is not None
        return PreferenceMatrix.model_validate(
            {
                "prompt_id": self.row.prompt.prompt_id,
                "logits": self.logits,
                "probs": self.probs,
                "truncated": self.truncated,
                "judge": self.judge,
            }
        )


def _unknown(k: int, diagonal: float) -> Matrix:
    return [[diagonal if i == j else math.nan for j in range(k)] for i in range(k)]


def _known(value: float | None) -> float:
    assert value is not None, "the judge left out a pair that it was asked for"
    return value
