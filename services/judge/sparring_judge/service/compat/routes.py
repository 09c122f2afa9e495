"""All routes for other tools together."""

from collections.abc import Callable

from fastapi import APIRouter

from sparring_judge.service.compat.llama_factory import llama_factory_routes
from sparring_judge.service.compat.nemo_gym import nemo_gym_routes
from sparring_judge.service.compat.oat import oat_routes
from sparring_judge.service.compat.openrlhf import openrlhf_routes
from sparring_judge.service.compat.rerank import rerank_routes
from sparring_judge.service.compat.rewards import rewarder
from sparring_judge.service.compat.slime import slime_routes
from sparring_judge.service.compat.tei import tei_routes
from sparring_judge.service.compat.vllm import vllm_routes
from sparring_judge.service.items import Ask
from sparring_judge.settings import JudgeSettings


def compat_routes(ask: Ask, judge_name: Callable[[], str], settings: JudgeSettings) -> APIRouter:
    """The routes of docs/judge.md for other tools; `judge_name` says what answers call the model."""
    against, most = settings.lone_answer_against, settings.max_candidates
    reward = rewarder(ask, against, most)
    routes = APIRouter()
    for protocol in (
        openrlhf_routes(reward),
        llama_factory_routes(reward, judge_name),
        slime_routes(reward),
        oat_routes(ask, reward),
        nemo_gym_routes(ask, against, most),
        vllm_routes(reward, judge_name),
        rerank_routes(reward, judge_name),
        tei_routes(reward),
    ):
        routes.include_router(protocol)
    return routes
