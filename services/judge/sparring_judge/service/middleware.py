"""How the judge treats its callers: a bearer token if one is set, and no work for those who have gone."""

from hmac import compare_digest

import anyio
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sparring_shared.errors import Unauthorized
from sparring_shared.http import error_answer

_OPEN = ("/healthz", "/readyz")


class BearerToken:
    """ASGI middleware that answers 401 unless the request brings `Authorization: Bearer <token>`; health needs none."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self.app = app
        self._wanted = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request pass or refuse it."""
        if scope["type"] != "http" or scope["path"] in _OPEN or self._allowed(scope):
            await self.app(scope, receive, send)
            return
        error = Unauthorized("The bearer token is missing or wrong; send the header Authorization: Bearer <token>.")
        answer = error_answer(error)
        answer.headers["WWW-Authenticate"] = "Bearer"
        await answer(scope, receive, send)

    def _allowed(self, scope: Scope) -> bool:
        return compare_digest(Headers(scope=scope).get("authorization", "").encode(), self._wanted)


class DropWhenGone:
    """ASGI middleware that cancels a request whose client has closed the connection before the answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the body on, then watch the connection while the application works."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        whole, gone, answered = anyio.Event(), anyio.Event(), anyio.Event()

        async def received() -> Message:
            if whole.is_set():
                await gone.wait()
                return {"type": "http.disconnect"}
            message = await receive()
            if not message.get("more_body", False):
                whole.set()
            return message

        async def sent(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                answered.set()

        async with anyio.create_task_group() as group:

            async def watch() -> None:
                await whole.wait()
                while (await receive())["type"] != "http.disconnect":
                    pass
                gone.set()
                if not answered.is_set():
                    group.cancel_scope.cancel()

            group.start_soon(watch)
            await self.app(scope, received, sent)
            group.cancel_scope.cancel()
