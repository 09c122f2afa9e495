"""Judge bodies: `POST /v1/rank`, `POST /v1/compare`, `GET /v1/judge`."""

from typing import Annotated, Literal

from pydantic import Field

from sparring_shared.errors import ErrorDescription
from sparring_shared.records import JudgeRef, Message, Record

Conversation = str | Annotated[tuple[Message, ...], Field(min_length=1)]
"""A prompt as plain text, or as messages that end with the user's turn."""


class RankItem(Record):
    """One prompt and its K candidates; `pairs` limits the work to these (i, j), both orders of each."""

    prompt: Conversation
    candidates: Annotated[tuple[str, ...], Field(min_length=2, max_length=32)]
    pairs: tuple[tuple[int, int], ...] | None = None


class RankRequest(Record):
    """Body of `POST /v1/rank`; K may differ from item to item."""

    items: Annotated[tuple[RankItem, ...], Field(min_length=1)]
    estimator: Literal["pairwise", "official"] = "pairwise"


class RankResult(Record):
    """What the judge says of one item.

    `logits` [K][K] raw, i first (None where not asked for); `probs` [K][K] and `win_rates` [K] by the estimator; `scores`
    [K] as llm-blender defines them (mean over all K of C_ij - C_ji); `ranks` [K] from 1, ties share the best rank;
    `truncated` [K]. With `pairs`, what needs the whole matrix is None.
    """

    logits: tuple[tuple[float | None, ...], ...]
    probs: tuple[tuple[float | None, ...], ...]
    win_rates: tuple[float, ...] | None
    scores: tuple[float, ...] | None
    ranks: tuple[int, ...] | None
    truncated: tuple[bool, ...]


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


class CompareResult(Record):
    """`p_a` is P(a beats b), averaged over both orders; `logit_ab` has a first; `truncated` is for (a, b)."""

    p_a: float
    logit_ab: float
    logit_ba: float
    truncated: tuple[bool, bool]


class CompareResponse(Record):
    """Answer of `POST /v1/compare`, item for item."""

    judge: JudgeRef
    items: tuple[CompareResult | ItemError, ...]


class JudgeLimits(Record):
    """What one request may hold; lengths in tokens, tags and separators included."""

    max_items: int
    max_candidates: int
    max_body_bytes: int
    source_max_tokens: int
    candidate_max_tokens: int


class JudgeInfo(Record):
    """Answer of `GET /v1/judge`."""

    name: str
    revision: str
    engine: str
    device: str
    limits: JudgeLimits
