"""`python -m chaos.engines PORT ANSWER_SECONDS`: generator, judge or trainer of the small world, to be killed."""

import asyncio
import sys
from typing import Any

import uvicorn
from below import Below, create_below
from fastapi import FastAPI, Request

_SLOW = ("/v1/chat/completions", "/v1/rank")


def slow_engine(seconds: float) -> FastAPI:
    """A stand-in whose answers take their time and follow from what was asked alone."""
    below = Below()
    below.steady, below.looks_until_done = True, 4
    app = create_below(below)

    @app.middleware("http")
    async def _(request: Request, call_next: Any) -> Any:
        if request.url.path in _SLOW:
            await asyncio.sleep(seconds)
        return await call_next(request)

    @app.get("/readyz")
    def ready() -> None:
        """Ready at once."""

    return app


if __name__ == "__main__":
    uvicorn.run(slow_engine(float(sys.argv[2])), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
