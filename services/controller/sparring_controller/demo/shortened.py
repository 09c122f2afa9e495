"""What the demo on real models leaves of the papers' rounds, in numbers."""

from sparring_shared.run_config import RunConfig
from sparring_shared.schedule import learning_rates

PAPERS_PROMPTS = 20_000
"""A round's in both papers: a third of UltraFeedback (SPPO, 5.1), a set of iterative-prompt-v1 (INPO, section 4)."""


def shortened(demo: RunConfig, whole: RunConfig, prompts: int) -> str:
    """One sentence that says by how much the demo is shorter than a recipe, with at most `prompts` pairs a round."""
    ours, theirs = learning_rates(demo.training, prompts), learning_rates(whole.training, PAPERS_PROMPTS)
    counts = (
        (demo.rounds, "rounds", whole.rounds),
        (len(ours), "optimizer steps", len(theirs)),
        (demo.sampling.max_tokens, "tokens an answer", whole.sampling.max_tokens),
        (demo.training.max_length, "tokens a training text", whole.training.max_length),
    )
    less = [f"{mine:,} {what} of {its:,}" for mine, what, its in counts if mine != its]
    return (
        f"{demo.name} is short: a round has {prompts:,} prompts where the paper plays about {PAPERS_PROMPTS:,}, "
        f"{', '.join(less)}, learning rates that sum to {sum(ours):.1e} of {sum(theirs):.1e} a round;"
        f" the whole is `sparring run configs/{whole.name}.toml`."
    )
