"""Heads that a judge learns beside the preference and that are thrown away afterwards: they make it see what matters.

A preference alone says little: a judge needs thousands of steps to find that words have kinds, and the steps differ
from seed to seed. The labels of the hints come from the two texts alone, from no verdict, except the kind of an answer.
"""

from collections.abc import Sequence
from typing import Final

import torch
from tokenizers import Tokenizer
from torch import nn
from torch.nn import functional

from sparring_controller.demo.small_world.words import KINDS, NUMBERS

from .pairs import ANSWER_KINDS, JudgedPair

_IGNORED: Final = -100


class WordHints:
    """Labels [B, S] for the words of a pass, from its ids; -100 where a label has no meaning."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        size = tokenizer.get_vocab_size()
        self._kind = torch.full((size,), _IGNORED)
        self._name = torch.full((size,), _IGNORED)
        self._number = torch.zeros(size, dtype=torch.long)
        for at, (kind, words) in enumerate(KINDS.items()):
            self._name[_token(tokenizer, kind)] = at
            for word in words:
                self._kind[_token(tokenizer, word)] = at
        for number in NUMBERS:
            self._number[_token(tokenizer, number)] = int(number)

    def kinds(self, ids: torch.Tensor) -> torch.Tensor:
        """The kind of each word."""
        return self._kind[ids]

    def repeats(self, ids: torch.Tensor, first_answer: int) -> torch.Tensor:
        """1 for a word or number of an answer that the prompt has too, 0 for one that it has not."""
        known = (self._kind[ids] >= 0) | (self._number[ids] > 0)
        return torch.where(_answering(ids, first_answer) & known, self._prompt(ids, first_answer).gather(1, ids).long(), -100)

    def fits(self, ids: torch.Tensor, first_answer: int) -> torch.Tensor:
        """For a word, whether the prompt names its kind; for the name of a kind, whether the prompt has a word of it."""
        prompt = self._prompt(ids, first_answer)
        named, present = _by_kind(prompt, self._name), _by_kind(prompt, self._kind)
        kind, name = self._kind[ids], self._name[ids]
        labels = torch.where(kind >= 0, named.gather(1, kind.clamp(min=0)), _IGNORED)
        return torch.where(name >= 0, present.gather(1, name.clamp(min=0)), labels)

    def extremes(self, ids: torch.Tensor, first_answer: int) -> torch.Tensor:
        """For a number: 0 when no number of the prompt is smaller, 2 when none is larger, else 1."""
        values = torch.where(_answering(ids, first_answer), 0, self._number[ids])
        largest = values.amax(1, keepdim=True)
        smallest = values.masked_fill(values == 0, len(NUMBERS) + 1).amin(1, keepdim=True)
        own = self._number[ids]
        labels = torch.where(own >= largest, 2, torch.where(own <= smallest, 0, 1))
        return torch.where(own > 0, labels, _IGNORED)

    def _prompt(self, ids: torch.Tensor, first_answer: int) -> torch.Tensor:
        """Whether the prompt has each token [B, V]."""
        found = torch.zeros(len(ids), len(self._kind), dtype=torch.bool)
        return found.scatter_(1, ids.masked_fill(_answering(ids, first_answer), 0), True)


class Hints(nn.Module):
    """The heads, on the last hidden states."""

    def __init__(self, size: int, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.words = WordHints(tokenizer)
        self.answer = nn.Linear(size, len(ANSWER_KINDS))
        self.kinds = nn.Linear(size, len(KINDS))
        self.repeats = nn.Linear(size, 2)
        self.fits = nn.Linear(size, 2)
        self.extremes = nn.Linear(size, 3)

    def loss(
        self, hidden: torch.Tensor, ids: torch.Tensor, tags: Sequence[int], pairs: Sequence[JudgedPair]
    ) -> dict[str, torch.Tensor]:
        """Cross-entropy of each hint; hidden [B, S, H], ids [B, S], `tags` of source, candidate1 and candidate2."""
        answers = torch.cat((hidden[ids == tags[1]], hidden[ids == tags[2]]))
        kinds = [pair.left_kind for pair in pairs] + [pair.right_kind for pair in pairs]
        said = torch.tensor([ANSWER_KINDS.index(kind) for kind in kinds])
        return {
            "answer": functional.cross_entropy(self.answer(answers), said),
            "kinds": _cross_entropy(self.kinds(hidden), self.words.kinds(ids)),
            "repeats": _cross_entropy(self.repeats(hidden), self.words.repeats(ids, tags[1])),
            "fits": _cross_entropy(self.fits(hidden), self.words.fits(ids, tags[1])),
            "extremes": _cross_entropy(self.extremes(hidden), self.words.extremes(ids, tags[1])),
        }


def _token(tokenizer: Tokenizer, word: str) -> int:
    token = tokenizer.token_to_id("▁" + word)
    assert token is not None, f"{word} is no piece of the tokenizer"
    return token


def _answering(ids: torch.Tensor, first_answer: int) -> torch.Tensor:
    """Whether each place [B, S] lies at or after the first answer's tag."""
    return (ids == first_answer).cumsum(1).bool()


def _by_kind(prompt: torch.Tensor, kinds: torch.Tensor) -> torch.Tensor:
    """1 for each kind [B, kinds] of which the prompt [B, V] has a token, by the kind [V] of each token."""
    belongs = functional.one_hot(kinds.clamp(min=-1) + 1, len(KINDS) + 1)[:, 1:].float()
    return (prompt.float() @ belongs > 0).long()


def _cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=_IGNORED)
