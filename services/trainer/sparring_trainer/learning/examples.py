"""Pairs as token ids: prompt and answers as the sampler read and sampled them."""

from collections.abc import Sequence
from dataclasses import dataclass

from sparring_shared.errors import InvalidInput
from sparring_shared.records import Pair

Tokens = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Example:
    """One pair ready for training; `truncated` if any token of prompt or answers was cut off.

    `win_rates` are what the method is told of the chosen and the rejected answer (`signals`). `sampled_logprobs` are
    what the sampler said of the two whole answers.
    """

    prompt_ids: Tokens
    chosen_ids: Tokens
    rejected_ids: Tokens
    win_rates: tuple[float, float]
    sampled_logprobs: tuple[float, float]
    truncated: bool

    @property
    def length(self) -> int:
        """Tokens of the prompt and its longer answer."""
        return len(self.prompt_ids) + max(len(self.chosen_ids), len(self.rejected_ids))


def truncate(
    prompt: Tokens, chosen: Tokens, rejected: Tokens, *, max_length: int, max_prompt_length: int
) -> tuple[Tokens, Tokens, Tokens]:
    """Cut a pair to `max_length` tokens as the official SPPO code does.

    If the prompt and the longer answer exceed it, the prompt keeps its last `max_prompt_length` tokens; if they still do,
    each answer keeps its first `max_length - max_prompt_length`, and loses its end-of-turn token.
    """
    longest = max(len(chosen), len(rejected))
    if len(prompt) + longest > max_length:
        prompt = prompt[-max_prompt_length:]
    if len(prompt) + longest > max_length:
        kept = max_length - max_prompt_length
        chosen, rejected = chosen[:kept], rejected[:kept]
    return prompt, chosen, rejected


def to_example(pair: Pair, *, vocabulary: int, max_length: int, max_prompt_length: int) -> Example:
    """Cut the pair. Raises InvalidInput for a token that a model of `vocabulary` tokens lacks."""
    whole = (pair.prompt_token_ids, pair.chosen_token_ids, pair.rejected_token_ids)
    largest = max(max(ids, default=0) for ids in whole)
    if largest >= vocabulary:
        raise InvalidInput(
            f"The pair of prompt {pair.prompt_id} holds token {largest}, but the policy knows only {vocabulary} tokens; "
            "train the policy that sampled these pairs."
        )
    kept = truncate(*whole, max_length=max_length, max_prompt_length=max_prompt_length)
    return Example(
        *kept,
        win_rates=(pair.chosen_win_rate, pair.rejected_win_rate),
        sampled_logprobs=(pair.chosen_logprob, pair.rejected_logprob),
        truncated=kept != whole,
    )


def sampler_gap(examples: Sequence[Example], logprobs: Sequence[Sequence[float]]) -> float | None:
    """Mean |sampler's - trainer's| log-prob in nats over the answers that were not cut; None if all were.

    `logprobs` [N][2] are the trainer's, of chosen and rejected.
    """
    gaps = [
        abs(sampled - scored)
        for example, pair in zip(examples, logprobs, strict=True)
        if not example.truncated
        for sampled, scored in zip(example.sampled_logprobs, pair, strict=True)
    ]
    return sum(gaps) / len(gaps) if gaps else None
