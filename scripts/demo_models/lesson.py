"""A judge in training, with heads that are thrown away afterwards: they make it notice what a preference hangs on."""

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import torch
from sparring_controller.small_world.words import KIND_OF, KINDS, NUMBERS
from tokenizers import Tokenizer
from torch import nn
from torch.nn import functional
from transformers import get_linear_schedule_with_warmup

from .judge import PairRM, new_config, pass_ids, tag_ids
from .pairs import ANSWER_KINDS, JudgedPair

BATCH: Final = 64
HINT_LOSS: Final = 0.5
_IGNORED: Final = -100
DrawPair: TypeAlias = Callable[[], JudgedPair]


class Hints(nn.Module):
    """Three heads on the last hidden states, learnt beside the preference.

    At the tag of an answer: its kind. At every word: what kind of thing it is. At every word of an answer: whether the
    prompt has it too. The last two say nothing about which answer is better; without them a judge needs thousands of
    steps more to find that words have kinds and that answers repeat the prompt's words.
    """

    def __init__(self, size: int, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.answer_kind = nn.Linear(size, len(ANSWER_KINDS))
        self.word_kind = nn.Linear(size, len(KINDS))
        self.in_prompt = nn.Linear(size, 2)
        self._kinds = torch.full((tokenizer.get_vocab_size(),), _IGNORED)
        self._known = torch.zeros(tokenizer.get_vocab_size(), dtype=torch.bool)
        for word in (*KIND_OF, *NUMBERS):
            token = tokenizer.token_to_id("▁" + word)
            assert token is not None, f"{word} is no piece of the tokenizer"
            self._known[token] = True
            if word in KIND_OF:
                self._kinds[token] = list(KINDS).index(KIND_OF[word])

    def loss(self, hidden: torch.Tensor, ids: torch.Tensor, tags: Sequence[int], pairs: Sequence[JudgedPair]) -> torch.Tensor:
        """Sum of the three cross-entropies; hidden [B, S, H], ids [B, S], `tags` of source, candidate1 and candidate2."""
        answers = torch.cat((hidden[ids == tags[1]], hidden[ids == tags[2]]))
        kinds = [pair.left_kind for pair in pairs] + [pair.right_kind for pair in pairs]
        return (
            functional.cross_entropy(self.answer_kind(answers), torch.tensor([ANSWER_KINDS.index(one) for one in kinds]))
            + _cross_entropy(self.word_kind(hidden), self._kinds[ids])
            + _cross_entropy(self.in_prompt(hidden), self._in_prompt(ids, tags[1]))
        )

    def _in_prompt(self, ids: torch.Tensor, first_answer: int) -> torch.Tensor:
        """Labels [B, S]: 1 for a word of an answer that the prompt has too, 0 for one that it has not."""
        answering = (ids == first_answer).cumsum(1).bool()
        prompt = torch.zeros(len(ids), len(self._known), dtype=torch.bool)
        prompt.scatter_(1, ids.masked_fill(answering, 0), True)
        return torch.where(answering & self._known[ids], prompt.gather(1, ids).long(), _IGNORED)


class Lesson:
    """A new judge for a tokenizer, and its training."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.model = PairRM(new_config(tokenizer.get_vocab_size()))
        self.hints = Hints(self.model.pretrained_model.config.hidden_size, tokenizer)

    def train(self, steps: int, rate: float, draw: DrawPair, name: str) -> None:
        """Steps of AdamW on batches of drawn pairs, linear decay."""
        weights = [*self.model.parameters(), *self.hints.parameters()]
        optimizer = torch.optim.AdamW(weights, lr=rate, weight_decay=0.01)
        schedule = get_linear_schedule_with_warmup(optimizer, steps // 20, steps)
        self.model.train()
        for step in range(steps):
            loss, hint = self._losses([draw() for _ in range(BATCH)])
            (loss + HINT_LOSS * hint).backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            if step % 100 == 0 or step == steps - 1:
                print(f"{name} step {step} preference loss {loss.item():.3f} hint loss {hint.item():.3f}", flush=True)

    def _losses(self, pairs: list[JudgedPair]) -> tuple[torch.Tensor, torch.Tensor]:
        ids, tags = pass_ids(self.tokenizer, [(one.prompt, one.left, one.right) for one in pairs]), tag_ids(self.tokenizer)
        hidden = self.model.hidden(ids)
        logits = self.model.logits(*(hidden[ids == tag] for tag in tags))
        wanted = torch.tensor([pair.target for pair in pairs])
        won = functional.binary_cross_entropy_with_logits(logits, wanted)
        return won, self.hints.loss(hidden, ids, tags, pairs)


def _cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=_IGNORED)
