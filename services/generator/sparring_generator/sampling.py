"""Stands before vLLM's routes: no sample while weights change, none from another policy than the one asked for."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sparring_generator.policy import ServedPolicy
from sparring_shared.errors import PolicyMismatch, SparringError, Unavailable
from sparring_shared.http import error_answer
from sparring_shared.wire.generator import POLICY_HEADER

_NO_SAMPLES = ("/v1/policy/sleep", "/v1/policy/wake", "/tokenize", "/detokenize", "/ping", "/inference/v1/abort_requests")


def samples(scope: Scope) -> bool:
    """Whether a request may need the weights: every POST that is not known to do without them."""
    if scope["type"] != "http" or scope["method"] != "POST":
        return False
    return scope["path"].removeprefix(scope.get("root_path", "")) not in _NO_SAMPLES


def _refusal(policy: ServedPolicy, wanted: str | None) -> SparringError | None:
    missing = policy.missing()
    if missing is not None:
        return Unavailable(missing)
    loaded = policy.status
    if wanted not in (None, loaded.digest):
        return PolicyMismatch(
            f"The loaded policy is {loaded.digest} (version {loaded.version}), not {wanted}; PUT /v1/policy first.",
            {"loaded": loaded.digest, "wanted": wanted},
        )
    return None


class OnePolicyPerAnswer:
    """ASGI middleware: a sampling request passes the gate for as long as its answer lasts, streams included.

    vLLM builds it by name (`--middleware`); the policy is the application's `state.policy`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse with 503 or 409, else name on the answer the digest that made it."""
        if not samples(scope):
            await self.app(scope, receive, send)
            return
        policy: ServedPolicy = scope["app"].state.policy
        async with policy.gate.together():
            refusal = _refusal(policy, Headers(scope=scope).get(POLICY_HEADER))
            if refusal is not None:
                await error_answer(refusal)(scope, receive, send)
                return
            digest = policy.status.digest

            async def named(message: Message) -> None:
                if message["type"] == "http.response.start":
                    MutableHeaders(scope=message)[POLICY_HEADER] = digest
                await send(message)

            await self.app(scope, receive, named)
