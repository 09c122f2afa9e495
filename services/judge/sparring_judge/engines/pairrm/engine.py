"""The PairRM engine: tokenise, lay out, compute each distinct pass once."""

from collections.abc import Sequence
from functools import partial
from typing import Protocol

from sparring_judge.engines.engine import Computed, Description, Engine
from sparring_judge.engines.pairrm.checkpoint import JudgeFiles, find_judge
from sparring_judge.engines.pairrm.passes import Pass, TokenisedTask, cut, distinct_games, lay_out
from sparring_judge.engines.pairrm.tokenizer import JudgeTokenizer, load_tokenizer
from sparring_judge.precision import Precision
from sparring_judge.settings import JudgeSettings
from sparring_judge.tasks.task import Game, Task
from sparring_judge.tasks.units import Limits, Plan, Unit, unit_key
from sparring_shared.errors import CheckpointMismatch
from sparring_shared.records import JudgeRef


class PairRmReader:
    """One unit, a pass, for each ordered pair of distinct token ids."""

    name = "pairrm"

    def __init__(self, ref: JudgeRef, limits: Limits, tokenizer: JudgeTokenizer) -> None:
        self.ref = ref
        self.limits = limits
        self._tokenizer = tokenizer

    def plan(self, task: Task) -> Plan:
        """See `Reader`. Raises InvalidInput for a text that is not valid Unicode."""
        tokenised = self.tokenise(task)
        games = distinct_games(tokenised, task.games)
        played = {game: at for at, game in enumerate(dict.fromkeys(games.values()))}
        return Plan(
            units=tuple(self._unit(self.one_pass(tokenised, game)) for game in played),
            games={game: ((1.0, played[same]),) for game, same in games.items()},
            reading=tokenised.reading,
        )

    def tokenise(self, task: Task) -> TokenisedTask:
        """The task as token ids, cut to the limits; each text is tokenised once."""
        source, *candidates = (self._tokenizer.ids(text) for text in (task.prompt, *task.candidates))
        return cut(source, candidates, self.limits)

    def one_pass(self, task: TokenisedTask, game: Game) -> Pass:
        """What the network reads for one game."""
        return lay_out(task.source, task.candidates[game[0]], task.candidates[game[1]], self._tokenizer.special)

    def _unit(self, one: Pass) -> Unit:
        return Unit(unit_key(self.ref, one.ids, one.tags), len(one.ids), one)


class Network(Protocol):
    """What computes passes; `padded_tokens` counts what was computed besides them, to fill batches."""

    padded_tokens: int

    def logits(self, passes: Sequence[Pass]) -> list[float]:
        """The logit of each pass."""
        ...


class PairRmComputer:
    """A `Computer` over the network."""

    def __init__(self, network: Network, description: Description) -> None:
        self.description = description
        self._network = network

    def compute(self, units: Sequence[Unit]) -> Computed:
        """See `Computer`."""
        before = self._network.padded_tokens
        logits = self._network.logits([unit.content for unit in units])  # pyright: ignore[reportArgumentType]  # the reader's
        return Computed(tuple(logits), self._network.padded_tokens - before)


def load_pairrm(settings: JudgeSettings, files: JudgeFiles | None = None) -> Engine:
    """The engine that the settings name, its weights not yet read; from `files` if they are found already.

    Raises NotFound or CheckpointMismatch with one sentence when there is no judge or its parts do not fit together.
    """
    files = files or find_judge(settings.model, settings.revision)
    tokenizer = load_tokenizer(files.tokenizer)
    special = tokenizer.special
    if files.tag_ids not in (None, (special.source, special.candidate1, special.candidate2)):
        raise CheckpointMismatch(f"The tag ids of {files.tokenizer} differ from those in the model's config {files.tag_ids}.")
    limits = Limits(
        source_max_tokens=settings.source_max_tokens or files.limits.source_max_tokens,
        candidate_max_tokens=settings.candidate_max_tokens or files.limits.candidate_max_tokens,
    )
    load = partial(_computer, files, tokenizer.largest_id, settings.device, settings.threads, settings.precision)
    ref = files.ref_of(PairRmReader.name, limits, settings.precision)
    return Engine(PairRmReader(ref, limits, tokenizer), load)


def _computer(files: JudgeFiles, largest_id: int, device: str, threads: int, precision: Precision | None) -> PairRmComputer:
    """Read the weights. Raises CheckpointMismatch when they do not fit the config or the tokenizer."""
    from sparring_judge.engines.pairrm.network import build_network, read_weights  # torch takes seconds to import

    network = build_network(files.encoder, read_weights(files.weights), device, threads, precision)
    rows = network.words.num_embeddings
    if largest_id >= rows:
        raise CheckpointMismatch(f"{files.tokenizer} has ids up to {largest_id}, but the model embeds only {rows}.")
    error = network.int8_error
    note = None if error is None else f"int8: logits of fixed passes differ from those of fp32 by {error:.2g} at most"
    return PairRmComputer(network, Description(str(network.device), network.batch_tokens, note=note))
