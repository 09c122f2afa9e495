"""Text-embeddings-inference: `POST /predict`, and the shape of its errors; its `/rerank` is in `rerank`."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BeforeValidator, Field

from sparring_judge.service.compat.rewards import Answer, Reward, RewardAnswers
from sparring_judge.service.compat.texts import Body, PlainText, split_text
from sparring_judge.service.compat.vllm import LABEL
from sparring_shared.errors import SparringError
from sparring_shared.http import error_answer, invalid_request

Entry = Annotated[tuple[PlainText, ...], Field(min_length=1, max_length=2)]
"""A text alone, or a prompt and an answer."""


class Inputs(Body):
    """The entries of a request, and whether they came as a batch."""

    entries: tuple[Entry, ...]
    batch: bool


def _inputs(value: Any) -> Any:
    if isinstance(value, str):
        return {"entries": ((value,),), "batch": False}
    if isinstance(value, list) and any(isinstance(one, str) for one in value):
        return {"entries": (value,), "batch": False}
    return {"entries": value, "batch": True}


class PredictRequest(Body):
    """A text, an entry, or a batch of entries."""

    inputs: Annotated[Inputs, BeforeValidator(_inputs, json_schema_input_type=str | Entry | list[Entry])]
    raw_scores: bool = False


class Prediction(Body):
    """The reward as the score of the one label."""

    label: str = LABEL
    score: float


def error_type(error: SparringError) -> str:
    """text-embeddings-inference's word for an error."""
    match error.status:
        case 413 | 422:
            return "validation"
        case 429:
            return "overloaded"
        case 503:
            return "unhealthy"
        case _:
            return "backend"


class TeiRoute(APIRoute):
    """A route that tells callers of text-embeddings-inference what is wrong as `{"error", "error_type"}`, others as always."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler of the route, with its errors put into that shape."""
        handle = super().get_route_handler()

        async def handle_in_shape(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as error:
                return await _answer(request, invalid_request(error), error)
            except SparringError as error:
                return await _answer(request, error, error)

        return handle_in_shape


async def _answer(request: Request, error: SparringError, raised: Exception) -> Response:
    try:
        body = await request.json()
    except ValueError:
        raise raised from None
    if not isinstance(body, dict) or not body.keys() & {"texts", "inputs"}:
        raise raised
    headers = {name: text for name, text in error_answer(error).headers.items() if not name.startswith("content-")}
    return JSONResponse({"error": error.message, "error_type": error_type(error)}, error.status, headers)


def tei_routes(reward: RewardAnswers) -> APIRouter:
    """`/predict`."""
    routes = APIRouter(tags=["text-embeddings-inference"], route_class=TeiRoute)

    @routes.post("/predict")
    async def predict(request: PredictRequest, answer_after: str | None = None) -> list[Prediction] | list[list[Prediction]]:
        """The reward of each answer; `answer_after` parts prompt and answer of a text that comes alone."""

        def prediction(one: Reward) -> list[Prediction]:
            return [Prediction(score=one.log_odds if request.raw_scores else one.win_rate)]

        entries = request.inputs.entries
        found = await reward([Answer(*one) if len(one) == 2 else split_text(one[0], answer_after) for one in entries])
        return [prediction(one) for one in found] if request.inputs.batch else prediction(found[0])

    return routes
