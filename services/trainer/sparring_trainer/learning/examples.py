"""Pairs as token ids: prompt and answers as the sampler read and sampled them."""

from collections.abc import Sequence
from dataclasses import dataclass

from sparring_shared.errors import InvalidInput
from sparring_shared.records import Pair

Tokens = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Example:
    """One pair ready for training; `lost` are the tokens cut off the prompt, the chosen and the rejected answer.

    `win_rates` are what the method is told of the chosen and the rejected answer (`signals`). `sampled_logprobs` are
    what the sampler said of the two whole answers.
    """

    prompt_ids: Tokens
    chosen_ids: Tokens
    rejected_ids: Tokens
    win_rates: tuple[float, float]
    sampled_logprobs: tuple[float, float]
    lost: tuple[int, int, int] = (0, 0, 0)

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
        lost=(len(whole[0]) - len(kept[0]), len(whole[1]) - len(kept[1]), len(whole[2]) - len(kept[2])),
    )


def cuts(examples: Sequence[Example]) -> dict[str, float]:
    """How long the answers of N pairs were before the cut, and what it took.

    `chosen_tokens`, `rejected_tokens`: mean length as sampled; `cut_answers`, `cut_prompts`: share of the 2N answers and of
    the N prompts that lost tokens; `lost_tokens`: what the answers lost, in all.
    """
    answers = [lost for example in examples for lost in example.lost[1:]]
    pairs = len(examples)
    return {
        "chosen_tokens": sum(len(example.chosen_ids) + example.lost[1] for example in examples) / pairs,
        "rejected_tokens": sum(len(example.rejected_ids) + example.lost[2] for example in examples) / pairs,
        "cut_answers": sum(lost > 0 for lost in answers) / len(answers),
        "cut_prompts": sum(example.lost[0] > 0 for example in examples) / pairs,
        "lost_tokens": float(sum(answers)),
    }


def sampler_gap(examples: Sequence[Example], logprobs: Sequence[Sequence[float]]) -> float | None:
    """Mean |sampler's - trainer's| log-prob in nats over the answers that were not cut; None if all were.

    `logprobs` [N][2] are the trainer's, of chosen and rejected.
    """
    gaps = [
        abs(sampled - scored)
        for example, pair in zip(examples, logprobs, strict=True)
        if not any(example.lost)
        for sampled, scored in zip(example.sampled_logprobs, pair, strict=True)
    ]
    return sum(gaps) / len(gaps) if gaps else None
