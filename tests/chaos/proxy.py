"""Stands before the judge, so that it can be away for a while without ending."""

import threading
import time
from types import TracebackType
from typing import Self

import httpx
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from ports import free_port


class Proxy:
    """Hands requests on to `target`, and answers 503 by itself while it is `away`."""

    def __init__(self) -> None:
        self.target = ""
        self.away = False
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        config = uvicorn.Config(self._app(), host="127.0.0.1", port=port, log_level="error", lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.force_exit = self._server.should_exit = True
        self._thread.join(20)

    def _app(self) -> FastAPI:
        app = FastAPI()

        @app.api_route("/{path:path}", methods=["GET", "POST"])
        async def _(path: str, request: Request) -> Response:
            if self.away:
                return JSONResponse({"error": {"type": "unavailable", "message": "The judge is away.", "detail": None}}, 503)
            try:
                return await self._handed_on(path, request)
            except httpx.TransportError as error:
                message = f"The judge behind the proxy does not answer ({type(error).__name__})."
                return JSONResponse({"error": {"type": "unavailable", "message": message, "detail": None}}, 503)

        return app

    async def _handed_on(self, path: str, request: Request) -> Response:
        kept = {name: value for name, value in request.headers.items() if name not in ("host", "content-length")}
        async with httpx.AsyncClient(timeout=600, verify=False) as client:
            answer = await client.request(
                request.method,
                f"{self.target}/{path}",
                params=dict(request.query_params),
                headers=kept,
                content=await request.body(),
            )
        return Response(answer.content, answer.status_code, media_type=answer.headers.get("content-type"))
