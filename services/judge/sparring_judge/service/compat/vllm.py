"""The scoring routes of vLLM's server: `POST /score`, `/v1/score` and `/classify`; verl asks the latter."""

import time
from collections.abc import Callable, Sequence
from typing import Annotated
from uuid import uuid4

from fastapi import APIRouter
from pydantic import AliasChoices, Field

from sparring_judge.service.compat.rewards import Answer, Reward, RewardAnswers
from sparring_judge.service.compat.texts import Body, Texts, Turn, split_text, without_end_tokens
from sparring_shared.errors import InvalidInput

LABEL = "preferred"
_PROMPTS = AliasChoices("text_1", "queries", "data_1")
_ANSWERS = AliasChoices("text_2", "documents", "items", "data_2")


class Usage(Body):
    """Tokens of prompts and answers, before any cut."""

    prompt_tokens: int
    total_tokens: int
    completion_tokens: int = 0


class ScoreRequest(Body):
    """Prompts and answers: one prompt to all answers, or one to each. vLLM knows other names for the two."""

    text_1: Texts = Field(validation_alias=_PROMPTS)
    text_2: Texts = Field(validation_alias=_ANSWERS)
    use_activation: bool | None = None


class Score(Body):
    """The reward of the answer at `index`."""

    index: int
    object: str = "score"
    score: float


class ScoreResponse(Body):
    """`data` in the order of the answers."""

    id: str
    object: str = "list"
    created: int
    model: str
    data: list[Score]
    usage: Usage


class ClassifyRequest(Body):
    """Whole texts, or one conversation that ends with the answer."""

    input: Texts | None = None
    messages: Annotated[tuple[Turn, ...], Field(min_length=1)] | None = None
    use_activation: bool | None = None


class Class(Body):
    """`probs` holds the reward alone: there is one class, `preferred`."""

    index: int
    label: str = LABEL
    probs: list[float]
    num_classes: int = 1


class ClassifyResponse(Body):
    """`data` in the order of the input."""

    id: str
    object: str = "list"
    created: int
    model: str
    data: list[Class]
    usage: Usage


def scored_answers(request: ScoreRequest) -> list[Answer]:
    """The answers with their prompts. Raises InvalidInput unless they are 1 to 1, 1 to N or N to N."""
    prompts, texts = request.text_1, request.text_2
    if len(prompts) not in (1, len(texts)):
        raise InvalidInput(
            f"There are {len(prompts)} prompts and {len(texts)} answers; send one prompt, or one for each answer."
        )
    return [Answer(prompts[at % len(prompts)], text) for at, text in enumerate(texts)]


def classified_answers(request: ClassifyRequest, answer_after: str | None) -> list[Answer]:
    """The answers of a classify request. Raises InvalidInput where none can be found."""
    if request.messages is not None:
        *prompt, answer = request.messages
        if answer.role != "assistant":
            raise InvalidInput(f"The messages end with one of the {answer.role}; the answer to judge must come last.")
        return [Answer(tuple(turn.message() for turn in prompt), without_end_tokens(answer.content))]
    if request.input is None:
        raise InvalidInput("input: is missing; send texts there, or a conversation as messages.")
    return [split_text(text, answer_after) for text in request.input]


def value(reward: Reward, use_activation: bool | None) -> float:
    """The win rate, or its log-odds when the caller wants no activation."""
    return reward.log_odds if use_activation is False else reward.win_rate


def usage(rewards: Sequence[Reward]) -> Usage:
    """What the request cost."""
    tokens = sum(reward.tokens for reward in rewards)
    return Usage(prompt_tokens=tokens, total_tokens=tokens)


def vllm_routes(reward: RewardAnswers, judge_name: Callable[[], str]) -> APIRouter:
    """`/score` and `/classify`."""
    routes = APIRouter(tags=["vLLM"])

    @routes.post("/score")
    @routes.post("/v1/score")
    async def score(request: ScoreRequest) -> ScoreResponse:
        """The reward of each answer: its win rate among the answers to its prompt, or P(it beats the configured answer)."""
        found = await reward(scored_answers(request))
        data = [Score(index=at, score=value(one, request.use_activation)) for at, one in enumerate(found)]
        return ScoreResponse(
            id=f"score-{uuid4().hex}", created=int(time.time()), model=judge_name(), data=data, usage=usage(found)
        )

    @routes.post("/classify")
    async def classify(request: ClassifyRequest, answer_after: str | None = None) -> ClassifyResponse:
        """The reward of each text as the probability of the class `preferred`; `answer_after` parts prompt and answer."""
        found = await reward(classified_answers(request, answer_after))
        data = [Class(index=at, probs=[value(one, request.use_activation)]) for at, one in enumerate(found)]
        return ClassifyResponse(
            id=f"classify-{uuid4().hex}", created=int(time.time()), model=judge_name(), data=data, usage=usage(found)
        )

    return routes
