"""`POST /rerank`, for whom it is the same path: vLLM, Jina and Cohere send `documents`, text-embeddings-inference `texts`."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter
from pydantic import Discriminator, Field, Tag

from sparring_judge.service.compat.rewards import Answer, Reward, RewardAnswers
from sparring_judge.service.compat.tei import TeiRoute
from sparring_judge.service.compat.texts import Body, PlainText, Text, Texts
from sparring_judge.service.compat.vllm import Usage, usage


class RerankRequest(Body):
    """What vLLM, Jina and Cohere send; `top_n` 0 or None means all."""

    query: Text
    documents: Texts
    top_n: Annotated[int, Field(ge=0)] | None = None
    return_documents: bool | None = None


class Document(Body):
    """The text of a document."""

    text: str


class RerankResult(Body):
    """`relevance_score` is the win rate of the document at `index`."""

    index: int
    relevance_score: float
    document: Document | None = None


class RerankResponse(Body):
    """`results`, best first; equals in the order of the request."""

    id: str
    model: str
    results: list[RerankResult]
    usage: Usage


class TeiRerankRequest(Body):
    """What text-embeddings-inference is sent."""

    query: PlainText
    texts: tuple[PlainText, ...]
    raw_scores: bool = False
    return_text: bool = False


class TeiRank(Body):
    """`score` of the text at `index`: its win rate, or the log-odds of it when `raw_scores` are wanted."""

    index: int
    score: float
    text: str | None = None


def _sender(body: Any) -> str:
    return "tei" if isinstance(body, TeiRerankRequest) or (isinstance(body, dict) and "texts" in body) else "documents"


AnyRerankRequest = Annotated[
    Annotated[RerankRequest, Tag("documents")] | Annotated[TeiRerankRequest, Tag("tei")], Discriminator(_sender)
]


def best_first(rewards: Sequence[Reward]) -> list[tuple[int, Reward]]:
    """(index, reward), best first; equals in the order of their indices."""
    return sorted(enumerate(rewards), key=lambda one: -one[1].win_rate)


def rerank_routes(reward: RewardAnswers, judge_name: Callable[[], str]) -> APIRouter:
    """`/rerank`, and its names under `/v1` and `/v2`."""
    routes = APIRouter(tags=["Rerank: vLLM, Jina, Cohere, text-embeddings-inference"], route_class=TeiRoute)

    @routes.post("/rerank", response_model_exclude_none=True)
    @routes.post("/v1/rerank", response_model_exclude_none=True)
    @routes.post("/v2/rerank", response_model_exclude_none=True)
    async def rerank(request: AnyRerankRequest) -> RerankResponse | list[TeiRank]:
        """Answers to a prompt by their win rates among each other."""
        if isinstance(request, TeiRerankRequest):
            found = await reward([Answer(request.query, text) for text in request.texts])
            return [
                TeiRank(
                    index=at,
                    score=one.log_odds if request.raw_scores else one.win_rate,
                    text=request.texts[at] if request.return_text else None,
                )
                for at, one in best_first(found)
            ]
        found = await reward([Answer(request.query, text) for text in request.documents])
        results = [
            RerankResult(
                index=at,
                relevance_score=one.win_rate,
                document=None if request.return_documents is False else Document(text=request.documents[at]),
            )
            for at, one in best_first(found)
        ]
        return RerankResponse(
            id=f"rerank-{uuid4().hex}", model=judge_name(), results=results[: request.top_n or None], usage=usage(found)
        )

    return routes
