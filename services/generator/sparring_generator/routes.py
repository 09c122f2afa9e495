"""The generator's own routes, beside vLLM's: which policy is loaded, and health in the house's words."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from sparring_generator.policy import ServedPolicy
from sparring_shared.errors import SparringError, Unavailable
from sparring_shared.http import ERRORS, error_answer, invalid_request
from sparring_shared.wire.generator import PolicyLoad, PolicyStatus


class _HouseRoute(APIRoute):
    """Answers errors in the house's shape; the application's own handlers answer in vLLM's."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's handler, with errors answered."""
        handler = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                return await handler(request)
            except RequestValidationError as error:
                return error_answer(invalid_request(error))
            except SparringError as error:
                return error_answer(error)

        return answered


def policy_routes(policy: ServedPolicy) -> APIRouter:
    """`/v1/policy`, `/healthz`, `/readyz`."""
    router = APIRouter(route_class=_HouseRoute, responses=ERRORS)

    @router.get("/v1/policy", tags=["policy"])
    async def show() -> PolicyStatus:
        """Which policy is loaded, and in what state."""
        return policy.status

    @router.put("/v1/policy", tags=["policy"])
    async def load(wanted: PolicyLoad) -> PolicyStatus:
        """Load a checkpoint without a restart: waits for the samples in flight, and answers once the probe matched."""
        return await policy.load(wanted)

    @router.post("/v1/policy/sleep", tags=["policy"])
    async def sleep() -> PolicyStatus:
        """Give the GPU memory back."""
        return await policy.sleep()

    @router.post("/v1/policy/wake", tags=["policy"])
    async def wake() -> PolicyStatus:
        """Take the GPU memory again; answers once the policy that slept is loaded and probed."""
        return await policy.wake()

    @router.get("/healthz", tags=["health"])
    async def healthz() -> dict[str, str]:
        """The process is up."""
        return {"status": "ok"}

    @router.get("/readyz", tags=["health"])
    async def readyz() -> dict[str, str]:
        """A probed policy is loaded; else 503."""
        missing = policy.missing()
        if missing is not None:
            raise Unavailable(missing)
        return {"status": "ready"}

    return router


def attach_policy(app: FastAPI, policy: ServedPolicy) -> None:
    """Put the policy and its routes on vLLM's application, whose middleware `OnePolicyPerAnswer` looks for it there."""
    app.state.policy = policy
    app.include_router(policy_routes(policy))
