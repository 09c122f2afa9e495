"""What the judge counts, for `/metrics`."""

from collections.abc import Iterable

from prometheus_client import Counter

from sparring_judge.engine import Judgement

PAIRS = Counter("sparring_judge_pairs", "Ordered pairs that were computed.")
TOKENS = Counter("sparring_judge_tokens", "Tokens in these pairs.")
TRUNCATED = Counter("sparring_judge_truncated", "Prompts and candidates of which only the beginning was read.")


def count(judgements: Iterable[Judgement]) -> None:
    """Add to the counters what was judged."""
    for one in judgements:
        PAIRS.inc(one.passes)
        TOKENS.inc(one.tokens)
        TRUNCATED.inc(sum(one.truncated) + one.source_truncated)
