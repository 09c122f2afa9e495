"""OpenRLHF's remote reward model: `POST /get_reward`."""

from fastapi import APIRouter

from sparring_judge.service.compat.rewards import Answer, RewardAnswers
from sparring_judge.service.compat.texts import Body, PlainText, answer_after
from sparring_shared.errors import InvalidInput


class RewardRequest(Body):
    """`query` [B]: prompt and answer as one text with special tokens; `prompts` [B]; either list may be empty."""

    query: tuple[PlainText, ...]
    prompts: tuple[PlainText, ...] = ()


class RewardResponse(Body):
    """`rewards` and `scores` [B], the same numbers; `extra_logs` are logged by the trainer under their names."""

    rewards: list[float]
    scores: list[float]
    extra_logs: dict[str, list[float]]


def openrlhf_routes(reward: RewardAnswers) -> APIRouter:
    """Give as `--reward.remote_url http://HOST:8002/get_reward`."""
    routes = APIRouter(tags=["OpenRLHF"])

    @routes.post("/get_reward")
    async def get_reward(request: RewardRequest) -> RewardResponse:
        """The reward of each query: P(its answer beats the configured answer), win rates where prompts repeat."""
        if len(request.prompts) != len(request.query):
            raise InvalidInput(f"query holds {len(request.query)} texts and prompts {len(request.prompts)}; send one for each.")
        pairs = zip(request.prompts, request.query, strict=True)
        found = await reward([Answer(prompt, answer_after(prompt, query)) for prompt, query in pairs])
        rates = [one.win_rate for one in found]
        truncated = [float(one.truncated) for one in found]
        return RewardResponse(rewards=rates, scores=rates, extra_logs={"judge_truncated": truncated})

    return routes
