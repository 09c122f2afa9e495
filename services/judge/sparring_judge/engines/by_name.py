"""The engines by their names; each is imported only when it is the one wanted."""

from sparring_judge.engines.engine import Engine
from sparring_judge.settings import JudgeSettings
from sparring_judge.tasks.units import Limits

_DEFAULT_LIMITS = Limits(source_max_tokens=1224, candidate_max_tokens=412)


def load_engine(settings: JudgeSettings) -> Engine:
    """The engine that the settings name, without its weights. Raises a SparringError for a model that is not there."""
    match settings.engine:
        case "fake":
            from sparring_judge.engines.stand_in import FakeComputer, FakeReader

            limits = Limits(
                settings.source_max_tokens or _DEFAULT_LIMITS.source_max_tokens,
                settings.candidate_max_tokens or _DEFAULT_LIMITS.candidate_max_tokens,
            )
            return Engine(FakeReader(limits), FakeComputer)
        case "pair-lm":
            from sparring_judge.engines.language_models.pair_lm import load_pair_lm

            return load_pair_lm(settings)
        case "reward":
            from sparring_judge.engines.language_models.reward import load_reward

            return load_reward(settings)
        case "openai":
            from sparring_judge.engines.chat_endpoint.engine import load_openai

            return load_openai(settings)
        case "ensemble":
            from sparring_judge.engines.ensemble import join_engines, read_members

            members = read_members(settings)
            return join_engines([load_engine(member.settings) for member in members], [member.weight for member in members])
        case "llm-blender":
            from sparring_judge.engines.llm_blender import load_blender

            return load_blender(settings)
        case _:
            from sparring_judge.engines.pairrm.engine import load_pairrm

            return load_pairrm(settings)
