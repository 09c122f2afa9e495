"""A middleware for vLLM's `--middleware`: exchanges the weights as a careless server would, the prefix cache left as it is."""

import json

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class ReloadWithoutReset:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/test/reload-without-reset":
            await self.app(scope, receive, send)
            return
        folder = json.loads(await Request(scope, receive).body())["path"]
        await scope["app"].state.engine_client.collective_rpc("reload_weights", kwargs={"weights_path": folder})
        await JSONResponse({})(scope, receive, send)
