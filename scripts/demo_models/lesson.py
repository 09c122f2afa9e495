"""A judge in training."""

from collections.abc import Callable
from typing import Final, TypeAlias

import torch
from tokenizers import Tokenizer
from torch.nn import functional
from transformers import get_linear_schedule_with_warmup

from .hints import Hints
from .judge import PairRM, new_config, pass_ids, tag_ids
from .pairs import JudgedPair

BATCH: Final = 64
HINT_LOSS: Final = 0.5
DrawPair: TypeAlias = Callable[[], JudgedPair]


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
            loss, hints = self._losses([draw() for _ in range(BATCH)])
            (loss + HINT_LOSS * sum(hints.values())).backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            if step % 100 == 0 or step == steps - 1:
                parts = " ".join(f"{hint} {value.item():.3f}" for hint, value in hints.items())
                print(f"{name} step {step} loss {loss.item():.3f} {parts}", flush=True)

    def _losses(self, pairs: list[JudgedPair]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        ids, tags = pass_ids(self.tokenizer, [(one.prompt, one.left, one.right) for one in pairs]), tag_ids(self.tokenizer)
        hidden = self.model.hidden(ids)
        logits = self.model.logits(*(hidden[ids == tag] for tag in tags))
        wanted = torch.tensor([pair.target for pair in pairs])
        won = functional.binary_cross_entropy_with_logits(logits, wanted)
        return won, self.hints.loss(hidden, ids, tags, pairs)
