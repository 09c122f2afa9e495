"""All routes for other tools together."""

from fastapi import APIRouter

from sparring_judge.compat.llama_factory import llama_factory_routes
from sparring_judge.compat.nemo_gym import nemo_gym_routes
from sparring_judge.compat.oat import oat_routes
from sparring_judge.compat.openrlhf import openrlhf_routes
from sparring_judge.compat.rerank import rerank_routes
from sparring_judge.compat.rewards import Ask, rewarder
from sparring_judge.compat.slime import slime_routes
from sparring_judge.compat.tei import tei_routes
from sparring_judge.compat.vllm import vllm_routes


def compat_routes(ask: Ask, judge_name: str, *, lone_answer_against: str = "", max_candidates: int = 32) -> APIRouter:
    """The routes of docs/judge.md for other tools.

    `ask` judges items; `judge_name` is what answers call the model; an answer without rivals in its request is compared with
    `lone_answer_against`; more than `max_candidates` answers to one prompt are refused.
    """
    reward = rewarder(ask, lone_answer_against, max_candidates)
    routes = APIRouter()
    for protocol in (
        openrlhf_routes(reward),
        llama_factory_routes(reward, judge_name),
        slime_routes(reward),
        oat_routes(ask, reward),
        nemo_gym_routes(ask, lone_answer_against, max_candidates),
        vllm_routes(reward, judge_name),
        rerank_routes(reward, judge_name),
        tei_routes(reward),
    ):
        routes.include_router(protocol)
    return routes
