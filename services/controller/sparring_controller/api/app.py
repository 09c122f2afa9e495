"""The HTTP API of the controller: `POST /v1/runs/{id}/rounds` starts an iteration."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Header
from fastapi.concurrency import run_in_threadpool
from fastapi.requests import HTTPConnection
from fastapi.responses import StreamingResponse

from sparring_controller.api.controller import Controller
from sparring_controller.rounds.clients import Services
from sparring_controller.rounds.doorbell import Doorbell
from sparring_controller.rounds.reconciler import Reconciler
from sparring_controller.settings import ControllerSettings
from sparring_controller.store.database import Database
from sparring_controller.store.replies import Request
from sparring_controller.store.schema import migrate
from sparring_shared.http import create_service
from sparring_shared.run_config import RunConfig
from sparring_shared.wire.controller import (
    AS_IT_IS,
    ResumeRequest,
    RoundsAccepted,
    RoundsRequest,
    RoundStatus,
    RunList,
    RunStatus,
)

_EVENT_SECONDS = 1.0
_EVENT_SHARE = 0.05
"""How much of its time a client's stream may spend on looking: a run of thousands of stages is looked at less often."""

router = APIRouter(prefix="/v1", tags=["runs"])


def _controller(connection: HTTPConnection) -> Controller:
    return connection.app.state.controller


Here = Annotated[Controller, Depends(_controller)]
Key = Annotated[str | None, Header(alias="Idempotency-Key", max_length=200)]


@router.post("/runs", status_code=201)
def create_run(config: RunConfig, here: Here, idempotency_key: Key = None) -> RunStatus:
    """Make a run from its config; it plays its first round when `rounds` is posted."""
    return here.create(Request("POST /v1/runs", idempotency_key, config.model_dump(mode="json")), config)


@router.get("/runs")
def list_runs(here: Here) -> RunList:
    """All runs, newest first, without their rounds."""
    return here.every_run()


@router.get("/runs/{run_id}")
def get_run(run_id: str, here: Here) -> RunStatus:
    """One run with its rounds."""
    return here.run(run_id)


@router.post("/runs/{run_id}/rounds", status_code=202)
def play_rounds(run_id: str, here: Here, request: RoundsRequest | None = None, idempotency_key: Key = None) -> RoundsAccepted:
    """Start the next round, or the next `count`; a failed run goes on with the round that failed."""
    count = (request or RoundsRequest()).count
    return here.play(Request(f"POST /v1/runs/{run_id}/rounds", idempotency_key, {"count": count}), run_id, count)


@router.get("/runs/{run_id}/rounds/{number}")
def get_round(run_id: str, number: int, here: Here) -> RoundStatus:
    """One round: its stages, and its report once it is evaluated."""
    return here.round(run_id, number)


@router.post("/runs/{run_id}/pause")
def pause_run(run_id: str, here: Here, idempotency_key: Key = None) -> RunStatus:
    """Begin no further stage; what runs is finished."""
    return here.pause(Request(f"POST /v1/runs/{run_id}/pause", idempotency_key), run_id)


@router.post("/runs/{run_id}/resume")
def resume_run(run_id: str, here: Here, wanted: ResumeRequest | None = None, idempotency_key: Key = None) -> RunStatus:
    """Go on after a pause or a failure; nothing that is done is done again."""
    body = None if wanted is None else wanted.model_dump()
    return here.resume(Request(f"POST /v1/runs/{run_id}/resume", idempotency_key, body), run_id, wanted or AS_IT_IS)


@router.post("/runs/{run_id}/cancel")
def cancel_run(run_id: str, here: Here, idempotency_key: Key = None) -> RunStatus:
    """End the run for good; what is finished stays."""
    return here.cancel(Request(f"POST /v1/runs/{run_id}/cancel", idempotency_key), run_id)


@router.get("/runs/{run_id}/events", response_class=StreamingResponse)
async def run_events(run_id: str, here: Here) -> StreamingResponse:
    """Server-sent events: the `RunStatus` now, and again whenever it changes, until the run has nothing more to do."""
    first = await run_in_threadpool(here.run, run_id)
    return StreamingResponse(_events(here, first), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


async def _events(here: Controller, status: RunStatus) -> AsyncIterator[str]:
    yield _event(status)
    took = 0.0
    while status.status == "running":
        await asyncio.sleep(max(_EVENT_SECONDS, took / _EVENT_SHARE))
        began = time.monotonic()
        latest = await run_in_threadpool(here.run, status.run_id)
        took = time.monotonic() - began
        # A comment keeps the connection alive, and lets a client that left be noticed.
        yield _event(latest) if latest != status else ": unchanged\n\n"
        status = latest


def _event(status: RunStatus) -> str:
    return f"event: run\ndata: {status.model_dump_json()}\n\n"


def create_app(settings: ControllerSettings) -> FastAPI:
    """The API with its reconciler. Raises InvalidInput for settings that cannot work."""
    redis_url = settings.redis_url.get_secret_value()
    controller = Controller(settings, Database(settings.database), Doorbell(redis_url), Services.at(settings))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        migrate(controller.database)
        reconciler = Reconciler(
            controller.database, controller.doorbell, controller.services.trainer, settings.reconcile_seconds
        )
        reconciler.start()
        yield
        await run_in_threadpool(reconciler.stop)
        controller.close()

    app = create_service("Sparring controller", controller.missing, max_body_bytes=1 << 20, lifespan=lifespan)
    app.state.controller = controller
    app.include_router(router)
    return app
