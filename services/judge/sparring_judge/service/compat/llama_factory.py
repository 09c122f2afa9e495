"""LLaMA-Factory's reward model API: `POST /v1/score/evaluation`."""

from collections.abc import Callable
from uuid import uuid4

from fastapi import APIRouter

from sparring_judge.service.compat.rewards import RewardAnswers
from sparring_judge.service.compat.texts import Body, PlainText, split_text


class EvaluationRequest(Body):
    """`messages` [B] are whole texts, prompt and answer with special tokens, not messages of a chat."""

    messages: tuple[PlainText, ...]


class EvaluationResponse(Body):
    """`scores` [B]."""

    id: str
    object: str = "score.evaluation"
    model: str
    scores: list[float]


def llama_factory_routes(reward: RewardAnswers, judge_name: Callable[[], str]) -> APIRouter:
    """Give as `reward_model: http://HOST:8002/v1/score/evaluation` with `reward_model_type: api`."""
    routes = APIRouter(tags=["LLaMA-Factory"])

    @routes.post("/v1/score/evaluation")
    async def evaluate(request: EvaluationRequest, answer_after: str | None = None) -> EvaluationResponse:
        """The reward of each text; `answer_after` in the URL is what stands in them before the answer.

        Without it nobody can say where the prompt ends: each whole text is compared with the configured answer.
        """
        found = await reward([split_text(text, answer_after) for text in request.messages])
        return EvaluationResponse(id=f"scoreeval-{uuid4().hex}", model=judge_name(), scores=[one.win_rate for one in found])

    return routes
