"""Answers as lines of JSON, each sent as soon as its item and those before it are judged."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack

from fastapi import Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from sparring_judge.queue.scheduler import Pending
from sparring_judge.service.items import ItemJudge, late, settle
from sparring_judge.service.results import item_error
from sparring_judge.tasks.units import Judgement
from sparring_shared.errors import SparringError
from sparring_shared.records import JudgeRef
from sparring_shared.wire.judge import NDJSON, CompareResult, ItemError, JudgeLine, RankItem, RankResult, ResultLine

Answer = Callable[[int, Judgement], RankResult | CompareResult]
"""The answer to the item at an index."""


def wants_lines(request: Request) -> bool:
    """Whether the caller asks for NDJSON."""
    return NDJSON in request.headers.get("accept", "")


async def stream(
    judge_items: ItemJudge,
    items: Sequence[RankItem],
    ref: JudgeRef,
    answer: Answer,
    *,
    fresh: bool = False,
    alone: bool = False,
) -> StreamingResponse:
    """Queue the items, then answer line by line. Raises what concerns the request as a whole before the first line."""
    async with AsyncExitStack() as stack:
        deadline = judge_items.deadline()
        pending = await stack.enter_async_context(judge_items.open(items, fresh=fresh, alone=alone))
        return StreamingResponse(_lines(pending, ref, answer, deadline, stack.pop_all()), media_type=NDJSON)
    raise AssertionError("not reached")


async def _lines(
    pending: Sequence[Pending | SparringError], ref: JudgeRef, answer: Answer, deadline: float, queued: AsyncExitStack
) -> AsyncIterator[bytes]:
    async with queued:
        yield _line(JudgeLine(judge=ref))
        for index, one in enumerate(pending):
            try:
                async with asyncio.timeout_at(deadline):
                    judged = await settle(one)
            except TimeoutError:
                judged = late()
            item: RankResult | CompareResult | ItemError
            item = item_error(judged) if isinstance(judged, SparringError) else answer(index, judged)
            yield _line(ResultLine(index=index, item=item))


def _line(record: BaseModel) -> bytes:
    return record.model_dump_json().encode() + b"\n"
