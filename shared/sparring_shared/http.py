"""The HTTP base of the judge, trainer and controller: health, metrics, one error shape, a body limit, one way to start."""

import asyncio
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from math import ceil
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_fastapi_instrumentator import Instrumentator
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sparring_shared.errors import ErrorBody, InvalidInput, NotFound, SparringError, TooLarge, Unavailable, fail
from sparring_shared.run_config import explain

Readiness = Callable[[], str | None]
"""None when ready, else one sentence that says what is still missing."""

ERRORS: dict[int | str, dict[str, Any]] = {status: {"model": ErrorBody} for status in (404, 409, 413, 422, 500, 503)}
"""Documents the error shape in OpenAPI: pass as `responses=`."""


def error_answer(error: SparringError) -> JSONResponse:
    """The HTTP answer that an error travels as."""
    headers = {"Retry-After": str(error.retry_after)} if error.retry_after is not None else None
    return JSONResponse(error.body(), status_code=error.status, headers=headers)


async def _on_sparring_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, SparringError)
    return error_answer(error)


def invalid_request(error: RequestValidationError) -> InvalidInput:
    """What FastAPI found wrong with a request, as one sentence."""
    return InvalidInput(explain({**item, "loc": item["loc"][1:]} for item in error.errors()))


async def _on_invalid_request(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return error_answer(invalid_request(error))


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return error_answer(NotFound(f"There is nothing at {request.url.path}; see /docs for the routes."))
    body = SparringError(str(error.detail)).body()
    body["error"]["type"] = "http"
    return JSONResponse(body, status_code=error.status_code, headers=error.headers)


class BodyLimit:
    """ASGI middleware that answers 413 once more than `limit` bytes of a body have come."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app = app
        self.limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the whole body first, so that nothing behind ever sees one that is too large."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        messages: list[Message] = []
        size = 0
        while True:
            message = await receive()
            messages.append(message)
            size += len(message.get("body", b""))
            if size > self.limit:
                error = TooLarge(f"The body exceeds {self.limit} bytes; send fewer items at once.")
                await error_answer(error)(scope, receive, send)
                return
            if message["type"] != "http.request" or not message.get("more_body", False):
                break
        replay = iter(messages)

        async def received() -> Message:
            return next(replay, None) or await receive()

        await self.app(scope, received, send)


class Readier:
    """Asks for readiness beside the event loop, in one thread at a time however many want to know.

    What it asks may hang, as a database does: then there is an answer after `seconds` all the same.
    """

    def __init__(self, readiness: Readiness, seconds: float) -> None:
        self._readiness, self._seconds = readiness, seconds
        self._answer: Future[str | None] | None = None

    async def missing(self) -> str | None:
        """None when ready, else one sentence."""
        if self._answer is None or self._answer.done():
            self._answer = Future()
            self._answer.set_running_or_notify_cancel()  # who does not wait any longer takes it from nobody else
            threading.Thread(target=self._ask, args=(self._answer,), name="readiness", daemon=True).start()
        try:
            return await asyncio.wait_for(asyncio.wrap_future(self._answer), self._seconds)
        except TimeoutError:
            return f"What has to be ready has not answered for {self._seconds:g} s."

    def _ask(self, answer: "Future[str | None]") -> None:
        try:
            answer.set_result(self._readiness())
        except Exception as error:  # noqa: BLE001  # it is raised where it was asked
            answer.set_exception(error)


def create_service(
    title: str, readiness: Readiness, *, max_body_bytes: int = 64 << 20, ready_seconds: float = 2.0, **options: Any
) -> FastAPI:
    """A FastAPI application with `/healthz`, `/readyz`, `/metrics`, `/docs`, the one error shape and a body limit.

    `/readyz` answers within `ready_seconds`, whatever `readiness` does meanwhile.
    """
    readier = Readier(readiness, ready_seconds)
    app = FastAPI(title=title, version="1", responses=ERRORS, **options)
    app.add_middleware(BodyLimit, limit=max_body_bytes)
    app.add_exception_handler(SparringError, _on_sparring_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_exception)
    Instrumentator(excluded_handlers=["/healthz", "/readyz", "/metrics"]).instrument(app).expose(app, include_in_schema=False)

    @app.get("/healthz", tags=["health"])
    async def healthz() -> dict[str, str]:
        """The process is up."""
        return {"status": "ok"}

    @app.get("/readyz", tags=["health"])
    async def readyz() -> dict[str, str]:
        """Everything needed to answer is loaded; else 503."""
        missing = await readier.missing()
        if missing is not None:
            raise Unavailable(missing)
        return {"status": "ready"}

    return app


def port_is_free(host: str, port: int) -> bool:
    """Whether a server could bind here now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def serve(app: FastAPI, name: str, host: str, port: int, *, drain_seconds: float = 10) -> int:
    """Run the service until SIGTERM or Ctrl-C; exit code 2 with one sentence if the port is in use.

    When it is asked to end it takes no new connections and has `drain_seconds` to finish what it began.
    """
    if not port_is_free(host, port):
        return fail(f"port {port} on {host} is in use; stop what listens there or set SPARRING_{name.upper()}_PORT to another.")
    uvicorn.run(app, host=host, port=port, log_level="info", access_log=False, timeout_graceful_shutdown=ceil(drain_seconds))
    return 0
