"""What the run's seed decides: the order of prompts and the seed of each request. Pure, and the same on every machine."""

import hashlib

from sparring_shared.records import Prompt


def seed_of(*parts: object) -> int:
    """A seed in [0, 2**31) from whatever it shall depend on, e.g. `seed_of(config.seed, round, prompt_id)`."""
    text = ":".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


def round_prompts(training: list[Prompt], seed: int, round_number: int, per_round: int | None) -> list[Prompt]:
    """The prompts of round t >= 1: the next `per_round` in the seed's order, beginning again once all have been played."""
    count = len(training) if per_round is None else per_round
    ordered = sorted(training, key=lambda prompt: hashlib.sha256(f"{seed}:{prompt.prompt_id}".encode()).digest())
    first = (round_number - 1) * count
    return [ordered[position % len(ordered)] for position in range(first, first + count)]


def shards(prompts: list[Prompt], size: int) -> list[list[Prompt]]:
    """The prompts in shards of `size`; the last may be smaller."""
    return [prompts[start : start + size] for start in range(0, len(prompts), size)]
