"""The HTTP service of the judge: its own routes, those of other tools, and its manners."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response

from sparring_judge.queue.background_judge import BackgroundJudge
from sparring_judge.service.compat.routes import compat_routes
from sparring_judge.service.items import ItemJudge, caller_deadline
from sparring_judge.service.middleware import BearerToken, DropWhenGone
from sparring_judge.service.results import compare_result, item_error, rank_result
from sparring_judge.service.streaming import stream, wants_lines
from sparring_judge.settings import JudgeSettings
from sparring_shared.errors import SparringError
from sparring_shared.http import create_service
from sparring_shared.wire.judge import (
    NDJSON,
    CompareRequest,
    CompareResponse,
    JudgeInfo,
    JudgeLimits,
    RankItem,
    RankRequest,
    RankResponse,
)

_STREAMED: dict[int | str, dict[str, Any]] = {200: {"content": {NDJSON: {}}, "description": "All at once, or line by line."}}


def create_app(settings: JudgeSettings, judge: BackgroundJudge) -> FastAPI:
    """The judge service; it begins to load `judge` when it starts."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        judge.start()
        yield
        await judge.close()

    app = create_service("Sparring judge", judge.missing, max_body_bytes=settings.max_body_bytes, lifespan=lifespan)
    app.add_middleware(DropWhenGone)
    if settings.token is not None:
        app.add_middleware(BearerToken, token=settings.token.get_secret_value())
    judge_items = ItemJudge(settings, judge)
    app.include_router(preference_routes(judge, judge_items), dependencies=[Depends(caller_deadline)])
    others = compat_routes(judge_items, lambda: judge.reader.ref.name, settings)
    app.include_router(others, dependencies=[Depends(caller_deadline)])
    app.include_router(info_route(settings, judge))
    return app


def preference_routes(judge: BackgroundJudge, judge_items: ItemJudge) -> APIRouter:
    """Rank and compare."""
    router = APIRouter(prefix="/v1", tags=["judge"])

    @router.post("/rank", response_model=RankResponse, responses=_STREAMED)
    async def rank(request: RankRequest, caller: Request) -> RankResponse | Response:
        """Compare the K candidates of each prompt with each other, in both orders."""
        ref, items = judge.reader.ref, request.items
        if wants_lines(caller):
            return await stream(
                judge_items,
                items,
                ref,
                lambda at, one: rank_result(one, request.estimator, items[at].pairs is None),
                fresh=request.fresh,
                alone=request.alone,
            )
        judged = await judge_items(items, fresh=request.fresh, alone=request.alone)
        answers = [
            item_error(one) if isinstance(one, SparringError) else rank_result(one, request.estimator, item.pairs is None)
            for item, one in zip(items, judged, strict=True)
        ]
        return RankResponse(judge=ref, items=tuple(answers))

    @router.post("/compare", response_model=CompareResponse, responses=_STREAMED)
    async def compare(request: CompareRequest, caller: Request) -> CompareResponse | Response:
        """Compare two answers to each prompt, in both orders."""
        ref = judge.reader.ref
        items = [RankItem(prompt=item.prompt, candidates=(item.a, item.b)) for item in request.items]
        if wants_lines(caller):
            return await stream(judge_items, items, ref, lambda _, one: compare_result(one, request.estimator))
        answers = [
            item_error(one) if isinstance(one, SparringError) else compare_result(one, request.estimator)
            for one in await judge_items(items)
        ]
        return CompareResponse(judge=ref, items=tuple(answers))

    return router


def info_route(settings: JudgeSettings, judge: BackgroundJudge) -> APIRouter:
    """Which judge this is."""
    router = APIRouter(prefix="/v1", tags=["judge"])

    @router.get("/judge")
    async def info() -> JudgeInfo:
        """Which judge this is, and what one request may hold."""
        reader, description = judge.reader, judge.description
        limits = JudgeLimits(
            max_items=settings.max_items,
            max_candidates=settings.max_candidates,
            max_passes=settings.max_passes,
            max_body_bytes=settings.max_body_bytes,
            source_max_tokens=reader.limits.source_max_tokens,
            candidate_max_tokens=reader.limits.candidate_max_tokens,
        )
        return JudgeInfo(
            name=reader.ref.name,
            revision=reader.ref.revision,
            engine=reader.name,
            model=settings.model,
            pinned=judge.pinned,
            device=description.device,
            note=description.note,
            limits=limits,
        )

    return router
