"""Where the prompts of a run come from: the table `prompts` of a run config."""

from typing import Annotated, NamedTuple, Self

from pydantic import Field, model_validator

from sparring_shared.records import Record

Share = Annotated[float, Field(gt=0, lt=1)]
_HELDOUT = 0.1


class PromptSource(Record):
    """A JSONL or Parquet file, or a Hugging Face dataset id with `split`, `subset` and `revision`.

    `column` holds a string or a list of `{role, content}` messages; answers at the end of such a list are left off.

    Example: `PromptSource(source="RLHFlow/iterative-prompt-v1-iter1-20K", column="context_messages")`.
    """

    source: Annotated[str, Field(min_length=1)]
    column: str = "prompt"
    split: str = "train"
    subset: str | None = None
    revision: str | None = None


class NamedSource(NamedTuple):
    """A source and where it stands in the config: `keys` is the form of its keys' names, such as `prompts.{}`."""

    source: PromptSource
    keys: str
    name: str

    def key(self, name: str) -> str:
        """How a sentence calls one of its keys, e.g. `prompts.column` or `column in round 2 of prompts.rounds`."""
        return self.keys.format(name)


class PromptsConfig(Record):
    """Where prompts come from: one source for all rounds, or `rounds` with one for each round.

    `source` (with its `column`, `split`, `subset`, `revision`) is dealt out: rounds take disjoint parts of `per_round`
    prompts until all have been played, then start over; without `per_round` each round plays all. Of `rounds` each round plays
    its own, up to `per_round`; a prompt that comes in several is played in the first.

    Held out for evaluation is what `heldout_source` holds, else each prompt whose hash falls into the share `heldout` (0.1); no
    prompt is on both sides. Rows that are no prompts are dropped; a source with more than the share `max_bad` of them is
    refused. All of it is read once, when the run is made.
    """

    source: Annotated[str, Field(min_length=1)] | None = None
    column: str = "prompt"
    split: str = "train"
    subset: str | None = None
    revision: str | None = None
    rounds: Annotated[tuple[PromptSource, ...], Field(min_length=1)] | None = None
    heldout: Share | None = None
    heldout_source: PromptSource | None = None
    per_round: Annotated[int, Field(ge=1)] | None = None
    max_bad: Annotated[float, Field(ge=0, lt=1)] = 0.01

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.source is None and self.rounds is None:
            raise ValueError("give source, or rounds with one source for each round")
        if self.rounds is not None:
            beside = [name for name, value in self._own().items() if value != PromptsConfig.model_fields[name].default]
            if beside:
                raise ValueError(f"{beside[0]} stands beside rounds; give it in each of the rounds, or leave the rounds out")
        if self.heldout is not None and self.heldout_source is not None:
            raise ValueError("heldout stands beside heldout_source; leave one of them out")
        return self

    @property
    def heldout_share(self) -> float:
        """The share held out where there is no `heldout_source`."""
        return _HELDOUT if self.heldout is None else self.heldout

    def training_sources(self) -> tuple[NamedSource, ...]:
        """One source for each round, or the one that all rounds share."""
        if self.rounds is not None:
            numbered = enumerate(self.rounds, start=1)
            return tuple(NamedSource(source, f"{{}} in round {i} of prompts.rounds", f"round {i}") for i, source in numbered)
        return (NamedSource(PromptSource.model_validate(self._own()), "prompts.{}", "all rounds"),)

    def evaluation_source(self) -> NamedSource | None:
        """The source of the held-out prompts, if they have one of their own."""
        if self.heldout_source is None:
            return None
        return NamedSource(self.heldout_source, "prompts.heldout_source.{}", "held out")

    def _own(self) -> dict[str, str | None]:
        return self.model_dump(include=set(PromptSource.model_fields))
