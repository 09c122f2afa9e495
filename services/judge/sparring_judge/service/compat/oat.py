"""oat's remote reward and preference oracle: `POST /get_feedback`, MessagePack both ways."""

from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response

from sparring_judge.service.compat.rewards import Answer, RewardAnswers, ask_all
from sparring_judge.service.items import Ask
from sparring_shared.errors import InvalidInput
from sparring_shared.preference import pairwise_probs
from sparring_shared.wire.judge import RankItem

_TYPE = "application/msgpack"


class FeedbackRequest(msgspec.Struct, frozen=True):
    """`batch_prompt` [B], and of the other two the one that is wanted [B]; the other is empty."""

    batch_prompt: list[str]
    batch_response: list[str] = []
    batch_candidates: list[tuple[str, str]] = []


class FeedbackResponse(msgspec.Struct, frozen=True):
    """A reward for each response, or P(the first beats the second) for each two candidates; the other is empty."""

    batch_score: list[float]
    batch_first_win_prob: list[float]


def read_request(body: bytes) -> FeedbackRequest:
    """The request. Raises InvalidInput for what is not MessagePack, of other types, or not one for each prompt."""
    try:
        request = msgspec.msgpack.decode(body, type=FeedbackRequest)
    except msgspec.DecodeError as error:
        raise InvalidInput(f"The body is not the MessagePack that oat sends: {error}.") from None
    for name in ("batch_response", "batch_candidates"):
        count = len(getattr(request, name))
        if count not in (0, len(request.batch_prompt)):
            raise InvalidInput(
                f"{name} holds {count} entries for {len(request.batch_prompt)} prompts; send one for each, or none."
            )
    return request


def _described(message: type[msgspec.Struct]) -> dict[str, Any]:
    return {_TYPE: {"schema": msgspec.json.schema_components([message])[1][message.__name__]}}


def oat_routes(ask: Ask, reward: RewardAnswers) -> APIRouter:
    """Give as `--oracle-type preference --oracle remote --remote-rm-url http://HOST:8002`."""
    routes = APIRouter(tags=["oat"])

    @routes.post(
        "/get_feedback",
        response_class=Response,
        openapi_extra={"requestBody": {"required": True, "content": _described(FeedbackRequest)}},
        responses={200: {"content": _described(FeedbackResponse)}},
    )
    async def get_feedback(request: Request) -> Response:
        """Rewards of responses, or the first's chances in pairs of candidates."""
        wanted = read_request(await request.body())
        responses = zip(wanted.batch_prompt, wanted.batch_response, strict=False)
        pairs = zip(wanted.batch_prompt, wanted.batch_candidates, strict=False)
        found = await reward([Answer(prompt, text) for prompt, text in responses])
        judged = await ask_all(ask, [RankItem(prompt=prompt, candidates=pair) for prompt, pair in pairs])
        answer = FeedbackResponse(
            batch_score=[one.win_rate for one in found],
            batch_first_win_prob=[float(pairwise_probs(one.logits)[0, 1]) for one in judged],
        )
        return Response(msgspec.msgpack.encode(answer), media_type=_TYPE)

    return routes
