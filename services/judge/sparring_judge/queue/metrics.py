"""What the judge counts, for `/metrics`."""

import numpy as np
from prometheus_client import Counter, Gauge, Histogram, Info

from sparring_judge.tasks.units import Judgement
from sparring_shared.records import JudgeRef

PAIRS = Counter("sparring_judge_pairs", "Ordered pairs, or other units of an engine, that were computed.")
TOKENS = Counter("sparring_judge_tokens", "Tokens in these pairs.")
PADDING = Counter("sparring_judge_padded_tokens", "Tokens that were computed besides, to fill batches.")
BATCH = Histogram("sparring_judge_batch_tokens", "Tokens computed at once.", buckets=[2**n for n in range(6, 19)])
COMPUTE = Histogram("sparring_judge_compute_seconds", "Time that a batch takes.", buckets=[4**n / 1000 for n in range(10)])
WAIT = Histogram(
    "sparring_judge_wait_seconds", "Time that a pair waits in the queue.", buckets=[4**n / 1000 for n in range(10)]
)
READ = Histogram("sparring_judge_read_seconds", "Time until a request is tokenised.", buckets=[4**n / 1000 for n in range(8)])
UNREAD = Gauge("sparring_judge_unread_requests", "Requests that are being tokenised or wait for it.")
QUEUED = Gauge("sparring_judge_queued_pairs", "Pairs that wait now.")
DROPPED = Counter("sparring_judge_dropped_pairs", "Pairs that were not computed, as nobody waited for them any more.")
CACHED = Counter("sparring_judge_cache_hits", "Pairs whose value was known from an earlier request.")
NEEDED = Counter("sparring_judge_needed_pairs", "Pairs that requests needed, known or not.")
TRUNCATED = Counter("sparring_judge_truncated", "Prompts and candidates of which only the beginning was read.")
REJECTED = Counter("sparring_judge_rejected", "Requests and items that were not judged.", ["reason"])
BIAS = Histogram(
    "sparring_judge_position_bias",
    "Mean of the logits of both orders of an item; 0 without a bias for the first or second place.",
    buckets=[-8, -4, -2, -1, -0.5, -0.25, -0.1, 0, 0.1, 0.25, 0.5, 1, 2, 4, 8],
)
JUDGE = Info("sparring_judge", "Which judge this is.")


def name_judge(ref: JudgeRef, engine: str, device: str) -> None:
    """Say which judge answers."""
    JUDGE.info({"name": ref.name, "revision": ref.revision, "engine": engine, "device": device})


def count_batch(pairs: int, tokens: int, padding: int, seconds: float) -> None:
    """Add a batch that was computed."""
    PAIRS.inc(pairs)
    TOKENS.inc(tokens)
    PADDING.inc(padding)
    BATCH.observe(tokens)
    COMPUTE.observe(seconds)


def count_judgement(judged: Judgement, bias: float | None) -> None:
    """Add an item that was judged."""
    NEEDED.inc(judged.units)
    CACHED.inc(judged.cache_hits)
    TRUNCATED.inc(int(np.sum(judged.reading.truncated)) + judged.reading.prompt_truncated)
    if bias is not None:
        BIAS.observe(bias)
