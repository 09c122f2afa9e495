"""Judge bodies: `POST /v1/rank`, `POST /v1/compare`, `GET /v1/judge`."""

from typing import Annotated, Final, Literal, TypeAlias

from pydantic import Field

from sparring_shared.errors import ErrorDescription
from sparring_shared.records import JudgeRef, Message, Record

Conversation = str | Annotated[tuple[Message, ...], Field(min_length=1)]
"""A prompt as plain text, or as messages that end with the user's turn."""

EngineName: TypeAlias = Literal["pairrm", "llm-blender", "pair-lm", "reward", "openai", "ensemble", "fake"]
"""The engines that a judge can have; see services/judge/README.md."""

WITHOUT_MODEL: Final[tuple[EngineName, ...]] = ("ensemble", "fake")
"""Engines that have no model of their own."""

Estimator: TypeAlias = Literal["pairwise", "official"]
"""How probabilities come from logits; see `sparring_shared.preference`."""

NDJSON = "application/x-ndjson"
"""Accepted by rank and compare: a line `{"judge": ...}`, then one `ResultLine` for each item in their order."""

DEADLINE_HEADER = "X-Sparring-Deadline-Seconds"
"""How long the caller will wait; what is not computed by then is dropped."""


class RankItem(Record):
    """One prompt and its K candidates; `pairs` limits the work to these (i, j), both orders of each.

    K is 1 to the judge's limit, 32 at most; an item outside of it is answered with an error of its own.
    """

    prompt: Conversation
    candidates: tuple[str, ...]
    pairs: tuple[tuple[int, int], ...] | None = None


class RankRequest(Record):
    """Body of `POST /v1/rank`; K may differ from item to item. `fresh`: computed anew, even what is remembered.

    `alone`: each item is computed by itself, which takes longer: its values then depend on nothing else that is computed at the
    same time or was before, in their last bits neither.
    """

    items: Annotated[tuple[RankItem, ...], Field(min_length=1)]
    estimator: Estimator = "pairwise"
    fresh: bool = False
    alone: bool = False


class RankResult(Record):
    """What the judge says of one item.

    `logits` [K][K] raw, i first (None where not asked for); `probs` [K][K] and `win_rates` [K] by the estimator; `scores`
    [K] as llm-blender defines them (mean over all K of C_ij - C_ji); `ranks` [K] from 1, ties share the best rank;
    `truncated` and `tokens` [K], the latter before the cut; `position_bias` is the mean logit of the one shown first;
    of `passes` computations that it took, `cache_hits` were known, the others read `new_tokens`. With `pairs`, what needs the
    whole matrix is None.
    """

    logits: tuple[tuple[float | None, ...], ...]
    probs: tuple[tuple[float | None, ...], ...]
    win_rates: tuple[float, ...] | None
    scores: tuple[float, ...] | None
    ranks: tuple[int, ...] | None
    truncated: tuple[bool, ...]
    tokens: tuple[int, ...]
    prompt_truncated: bool
    prompt_tokens: int
    position_bias: float | None
    passes: int
    cache_hits: int
    new_tokens: int = 0


class ItemError(Record):
    """Stands in the place of a result when one item cannot be judged; its neighbours are not affected."""

    error: ErrorDescription


class RankResponse(Record):
    """Answer of `POST /v1/rank`, item for item."""

    judge: JudgeRef
    items: tuple[RankResult | ItemError, ...]


class CompareItem(Record):
    """One prompt and two answers."""

    prompt: Conversation
    a: str
    b: str


class CompareRequest(Record):
    """Body of `POST /v1/compare`."""

    items: Annotated[tuple[CompareItem, ...], Field(min_length=1)]
    estimator: Estimator = "pairwise"


class CompareResult(Record):
    """`p_a` is P(a beats b) over both orders, by the estimator; `logit_ab` has a first; `truncated` is for (a, b).

    `position_consistent`: the same answer wins in both orders. For the others see `RankResult`.
    """

    p_a: float
    logit_ab: float
    logit_ba: float
    truncated: tuple[bool, bool]
    tokens: tuple[int, int]
    prompt_truncated: bool
    prompt_tokens: int
    position_bias: float
    position_consistent: bool
    passes: int
    cache_hits: int
    new_tokens: int = 0


class CompareResponse(Record):
    """Answer of `POST /v1/compare`, item for item."""

    judge: JudgeRef
    items: tuple[CompareResult | ItemError, ...]


class JudgeLine(Record):
    """First line of a streamed answer."""

    judge: JudgeRef


class ResultLine(Record):
    """A further line of a streamed answer: what `items[index]` came to."""

    index: int
    item: RankResult | CompareResult | ItemError


class JudgeLimits(Record):
    """What one request may hold; lengths in tokens, tags and separators included; `max_passes` comparisons, in both orders."""

    max_items: int
    max_candidates: int
    max_passes: int
    max_body_bytes: int
    source_max_tokens: int
    candidate_max_tokens: int


class JudgeInfo(Record):
    """Answer of `GET /v1/judge`: name, revision and engine as in every answer's `judge`, and `model` as the service was told.

    `revision` names the weights, and after a `+` stands a digest of all else that changes the answers. `engine` is empty in
    files that an older Sparring wrote. `pinned`: the revision says which weights answer; an endpoint does not tell that. `note`
    is what a user of its numbers should know, such as the error of int8.
    """

    name: str
    revision: str
    engine: str
    model: str
    pinned: bool
    device: str
    note: str | None
    limits: JudgeLimits

    @property
    def ref(self) -> JudgeRef:
        """Which judge this is."""
        return JudgeRef(name=self.name, revision=self.revision, engine=self.engine)
