"""NeMo-Gym's comparison of several responses: `POST /compare`, as its server `genrm_compare` answers."""

from typing import Any

from fastapi import APIRouter

from sparring_judge.service.compat.rewards import Answer, ask_all, rank_item, read_rewards
from sparring_judge.service.compat.texts import Body, PlainText, Turn
from sparring_judge.service.items import Ask
from sparring_shared.preference import Floats, pairwise_probs


class Part(Body):
    """Part of a message; only those of type `output_text` are read."""

    type: str = ""
    text: PlainText = ""


class Output(Body):
    """One output of a response; reasoning and tool calls are not judged."""

    type: str = ""
    content: tuple[Part, ...] | None = None


class ResponseObject(Body):
    """A response in the shape of the Responses API."""

    output: tuple[Output, ...] = ()

    @property
    def text(self) -> str:
        """What the judge reads: all output text of all messages."""
        messages = (output.content or () for output in self.output if output.type == "message")
        return "".join(part.text for content in messages for part in content if part.type == "output_text")


class ComparisonRequest(Body):
    """`response_objs` [K], answers to the conversation; a `principle` says nothing to this judge."""

    conversation_history: tuple[Turn, ...]
    response_objs: tuple[ResponseObject, ...]


class Comparison(Body):
    """`score_1` is P(response_i beats response_j), `score_2` the rest; `ranking` runs from 1 (i) over 3.5 (tie) to 6 (j)."""

    response_i: int
    response_j: int
    judge_idx: int = 0
    score_1: float
    score_2: float
    ranking: float


class ComparisonResponse(Body):
    """`rewards` [K]; `comparison_results` of all pairs, None for a lone response."""

    rewards: list[float]
    comparison_results: list[Comparison] | None = None
    metrics: dict[str, float] | None = None


def comparisons(probs: Floats) -> list[Comparison]:
    """All pairs (i, j) with i < j."""
    count = len(probs)
    found = ((i, j, float(probs[i, j])) for i in range(count) for j in range(i + 1, count))
    return [Comparison(response_i=i, response_j=j, score_1=p, score_2=1 - p, ranking=6 - 5 * p) for i, j, p in found]


def nemo_gym_routes(ask: Ask, lone_answer_against: str, max_candidates: int) -> APIRouter:
    """What `genrm_compare_server_name` should name."""
    routes = APIRouter(tags=["NeMo-Gym"])

    @routes.post("/compare")
    async def compare(request: ComparisonRequest) -> ComparisonResponse:
        """The win rate of each response among all of the request."""
        if not request.response_objs:
            return ComparisonResponse(rewards=[])
        prompt = tuple(turn.message() for turn in request.conversation_history)
        answers = [Answer(prompt, response.text) for response in request.response_objs]
        (judged,) = await ask_all(ask, [rank_item(answers, lone_answer_against, max_candidates)])
        found = read_rewards(judged, len(answers))
        more: dict[str, Any] = {}
        if len(answers) > 1:
            truncated = sum(one.truncated for one in found) / len(found)
            more = {"comparison_results": comparisons(pairwise_probs(judged.logits)), "metrics": {"truncated_rate": truncated}}
        return ComparisonResponse(rewards=[one.win_rate for one in found], **more)

    return routes
