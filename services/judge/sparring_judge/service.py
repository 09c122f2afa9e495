"""The HTTP routes of the judge."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI

from sparring_judge import metrics
from sparring_judge.answers import compare_result, item_error, rank_result
from sparring_judge.background import BackgroundJudge
from sparring_judge.engine import Judgement, Task, new_task
from sparring_judge.settings import JudgeSettings
from sparring_shared.errors import InvalidInput, SparringError
from sparring_shared.http import create_service
from sparring_shared.wire.judge import (
    CompareRequest,
    CompareResponse,
    JudgeInfo,
    JudgeLimits,
    RankItem,
    RankRequest,
    RankResponse,
)


async def judge_items(judge: BackgroundJudge, items: Sequence[RankItem]) -> list[Judgement | SparringError]:
    """The judgement of each item, or what is wrong with it."""
    tasks = [new_task(item) for item in items]
    found = await judge.judge([task for task in tasks if isinstance(task, Task)])
    metrics.count(one for one in found if isinstance(one, Judgement))
    judged = iter(found)
    return [next(judged) if isinstance(task, Task) else task for task in tasks]


def check_size(settings: JudgeSettings, counts: Sequence[int]) -> None:
    """Raise InvalidInput for too many items, or an item with too many candidates; `counts` are candidates per item."""
    if len(counts) > settings.max_items:
        raise InvalidInput(f"The request holds {len(counts)} items; send {settings.max_items} at most.")
    for at, count in enumerate(counts):
        if count > settings.max_candidates:
            raise InvalidInput(f"items.{at} holds {count} candidates; send {settings.max_candidates} at most.")


def create_app(settings: JudgeSettings, judge: BackgroundJudge) -> FastAPI:
    """The judge service; it begins to load `judge` when it starts."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        judge.start()
        yield

    app = create_service("Sparring judge", judge.missing, max_body_bytes=settings.max_body_bytes, lifespan=lifespan)

    @app.post("/v1/rank", tags=["judge"])
    async def rank(request: RankRequest) -> RankResponse:
        """Compare the K candidates of each prompt with each other, in both orders."""
        ref = judge.current.ref
        check_size(settings, [len(item.candidates) for item in request.items])
        judged = await judge_items(judge, request.items)
        answers = [
            item_error(one) if isinstance(one, SparringError) else rank_result(one, request.estimator, item.pairs is None)
            for item, one in zip(request.items, judged, strict=True)
        ]
        return RankResponse(judge=ref, items=tuple(answers))

    @app.post("/v1/compare", tags=["judge"])
    async def compare(request: CompareRequest) -> CompareResponse:
        """Compare two answers to each prompt, in both orders."""
        ref = judge.current.ref
        check_size(settings, [2] * len(request.items))
        judged = await judge_items(judge, [RankItem(prompt=item.prompt, candidates=(item.a, item.b)) for item in request.items])
        answers = [item_error(one) if isinstance(one, SparringError) else compare_result(one) for one in judged]
        return CompareResponse(judge=ref, items=tuple(answers))

    @app.get("/v1/judge", tags=["judge"])
    async def info() -> JudgeInfo:
        """Which judge this is, and what one request may hold."""
        current = judge.current
        limits = JudgeLimits(
            max_items=settings.max_items,
            max_candidates=settings.max_candidates,
            max_body_bytes=settings.max_body_bytes,
            source_max_tokens=current.limits.source_max_tokens,
            candidate_max_tokens=current.limits.candidate_max_tokens,
        )
        return JudgeInfo(
            name=current.ref.name, revision=current.ref.revision, engine=current.engine, device=current.device, limits=limits
        )

    return app
