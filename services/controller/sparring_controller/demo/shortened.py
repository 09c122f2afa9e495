"""What the demo on real models leaves of the papers' rounds, in numbers."""

from sparring_shared.run_config import RunConfig
from sparring_shared.schedule import learning_rates

PAPERS_PROMPTS = 20_000
"""A round's in both papers: a third of UltraFeedback (SPPO, 5.1), a set of iterative-prompt-v1 (INPO, section 4)."""


def shortened(demo: RunConfig, whole: RunConfig, prompts: int) -> str:
    """One sentence that says by how much the demo is shorter than a recipe, with at most `prompts` pairs a round."""
    ours, theirs = learning_rates(demo.training, prompts), learning_rates(whole.training, PAPERS_PROMPTS)
    return (
        f"{demo.name} is short: a round has {prompts:,} prompts where the paper plays about {PAPERS_PROMPTS:,}, {len(ours)} "
        f"optimizer steps of {len(theirs)}, answers of {demo.sampling.max_tokens} tokens of {whole.sampling.max_tokens}, "
        f"learning rates that sum to {sum(ours):.1e} of {sum(theirs):.1e};"
        f" the whole is `sparring run configs/{whole.name}.toml`."
    )
