"""Which texts are computed together, for models that take padded batches."""

from collections.abc import Sequence


def length_batches(lengths: Sequence[int], max_tokens: int) -> list[list[int]]:
    """Indices, shortest first, cut into batches of at most `max_tokens` tokens with their padding, or one text.

    Example: `length_batches([5, 2, 3], 6)` is `[[1, 2], [0]]`.
    """
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda at: lengths[at]):
        # The newcomer is the longest, to which all of its batch are padded.
        if batches and lengths[index] * (len(batches[-1]) + 1) <= max_tokens:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def padding(lengths: Sequence[int], batches: Sequence[Sequence[int]]) -> int:
    """How many tokens fill the batches up."""
    return sum(max(lengths[at] for at in batch) * len(batch) for batch in batches) - sum(lengths)
