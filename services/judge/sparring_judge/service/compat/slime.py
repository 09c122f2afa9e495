"""slime's and miles' remote reward model: `POST /remote_rm`."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import Discriminator, Tag

from sparring_judge.service.compat.rewards import Answer, RewardAnswers
from sparring_judge.service.compat.texts import Body, PlainText, Turn, without_end_tokens


class SampleRequest(Body):
    """One sample; its prompt is a text or a list of messages."""

    prompt: Annotated[
        Annotated[PlainText, Tag("text")] | Annotated[tuple[Turn, ...], Tag("messages")],
        Discriminator(lambda prompt: "text" if isinstance(prompt, str) else "messages"),
    ]
    response: PlainText


def slime_routes(reward: RewardAnswers) -> APIRouter:
    """Give as `--rm-type remote_rm --rm-url http://HOST:8002/remote_rm`."""
    routes = APIRouter(tags=["slime"])

    @routes.post("/remote_rm")
    async def remote_rm(request: SampleRequest) -> float:
        """P(the response beats the configured answer); the whole body of the answer is this number."""
        prompt = request.prompt if isinstance(request.prompt, str) else tuple(turn.message() for turn in request.prompt)
        (found,) = await reward([Answer(prompt, without_end_tokens(request.response))])
        return found.win_rate

    return routes
