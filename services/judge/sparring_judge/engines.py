"""The engines by their names; each is imported only when it is the one wanted."""

from sparring_judge.engine import Engine, Limits
from sparring_judge.settings import JudgeSettings

_DEFAULT_LIMITS = Limits(source_max_tokens=1224, candidate_max_tokens=412)


def load_engine(settings: JudgeSettings) -> Engine:
    """The engine that the settings name, without its weights. Raises a SparringError for a model that is not there."""
    match settings.engine:
        case "fake":
            from sparring_judge.fake import FakeComputer, FakeReader

            limits = Limits(
                settings.source_max_tokens or _DEFAULT_LIMITS.source_max_tokens,
                settings.candidate_max_tokens or _DEFAULT_LIMITS.candidate_max_tokens,
            )
            return Engine(FakeReader(limits), FakeComputer)
        case "pair-lm":
            from sparring_judge.pair_lm import load_pair_lm

            return load_pair_lm(settings)
        case "reward":
            from sparring_judge.reward import load_reward

            return load_reward(settings)
        case "openai":
            from sparring_judge.openai_chat import load_openai

            return load_openai(settings)
        case "ensemble":
            from sparring_judge.ensemble import join_engines, read_members

            members = read_members(settings)
            return join_engines([load_engine(member.settings) for member in members], [member.weight for member in members])
        case "llm-blender":
            from sparring_judge.blender import load_blender

            return load_blender(settings)
        case _:
            from sparring_judge.pairrm import load_pairrm

            return load_pairrm(settings)
