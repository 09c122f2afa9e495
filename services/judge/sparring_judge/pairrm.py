"""The PairRM engine: tokenise, lay out, compute each distinct pass once, put the logits back into their matrices."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sparring_judge.checkpoint import JudgeFiles, find_judge
from sparring_judge.engine import Game, Judgement, Limits, Task
from sparring_judge.passes import Pass, TokenisedTask, cut, distinct_games, lay_out
from sparring_judge.settings import JudgeSettings
from sparring_judge.tokens import JudgeTokenizer, load_tokenizer
from sparring_shared.errors import Broken, CheckpointMismatch, SparringError
from sparring_shared.records import JudgeRef


class Network(Protocol):
    """What computes passes."""

    def logits(self, passes: Sequence[Pass]) -> list[float]:
        """The logit of each pass."""
        ...


@dataclass(frozen=True)
class _Plan:
    task: TokenisedTask
    games: dict[Game, Game]
    passes: dict[Game, Pass]


class PairRmJudge:
    """A `Judge` over a PairRM checkpoint."""

    engine = "pairrm"

    def __init__(self, ref: JudgeRef, limits: Limits, tokenizer: JudgeTokenizer, network: Network, device: str) -> None:
        self.ref = ref
        self.limits = limits
        self.device = device
        self._tokenizer = tokenizer
        self._network = network

    def judge(self, tasks: Sequence[Task]) -> list[Judgement | SparringError]:
        """Judge each task; see `Judge`. A logit that is not finite makes its task an error."""
        plans = [self._plan(task) for task in tasks]
        passes = [one for plan in plans if isinstance(plan, _Plan) for one in plan.passes.values()]
        logits = iter(self._network.logits(passes))
        return [
            _judgement(plan, {game: next(logits) for game in plan.passes}) if isinstance(plan, _Plan) else plan
            for plan in plans
        ]

    def tokenise(self, task: Task) -> TokenisedTask:
        """The task as token ids, cut to the limits. Raises InvalidInput for a text that is not valid Unicode."""
        source, *candidates = (self._tokenizer.ids(text) for text in (task.prompt, *task.candidates))
        return cut(source, candidates, self.limits)

    def one_pass(self, task: TokenisedTask, game: Game) -> Pass:
        """What the network reads for one game."""
        return lay_out(task.source, task.candidates[game[0]], task.candidates[game[1]], self._tokenizer.special)

    def _plan(self, task: Task) -> _Plan | SparringError:
        try:
            tokenised = self.tokenise(task)
        except SparringError as error:
            return error
        games = distinct_games(tokenised, task.games)
        return _Plan(tokenised, games, {game: self.one_pass(tokenised, game) for game in dict.fromkeys(games.values())})


def _judgement(plan: _Plan, found: dict[Game, float]) -> Judgement | SparringError:
    if not all(map(math.isfinite, found.values())):
        return Broken("The judge gave a logit that is not finite; the weights are damaged or overflow in this precision.")
    count = len(plan.task.candidates)
    logits = np.full((count, count), np.nan)
    np.fill_diagonal(logits, 0.0)
    for game, played in plan.games.items():
        logits[game] = found[played]
    tokens = sum(len(one.ids) for one in plan.passes.values())
    return Judgement(logits, plan.task.truncated, plan.task.source_truncated, len(plan.passes), tokens)


def load_pairrm(settings: JudgeSettings, files: JudgeFiles | None = None) -> PairRmJudge:
    """Load the judge that the settings name, from `files` if they are found already.

    Raises NotFound or CheckpointMismatch with one sentence when there is no judge or its parts do not fit together.
    """
    from sparring_judge.deberta import build_network, read_weights  # torch takes seconds to import

    files = files or find_judge(settings.model, settings.revision)
    tokenizer = load_tokenizer(files.tokenizer)
    special = tokenizer.special
    if files.tag_ids not in (None, (special.source, special.candidate1, special.candidate2)):
        raise CheckpointMismatch(f"The tag ids of {files.tokenizer} differ from those in the model's config {files.tag_ids}.")
    network = build_network(files.encoder, read_weights(files.weights), settings.device, settings.threads)
    rows = network.words.num_embeddings
    if tokenizer.largest_id >= rows:
        raise CheckpointMismatch(f"{files.tokenizer} has ids up to {tokenizer.largest_id}, but the model embeds only {rows}.")
    limits = Limits(
        source_max_tokens=settings.source_max_tokens or files.limits.source_max_tokens,
        candidate_max_tokens=settings.candidate_max_tokens or files.limits.candidate_max_tokens,
    )
    return PairRmJudge(files.ref, limits, tokenizer, network, str(network.device))
