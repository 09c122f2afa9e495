"""Trains the demo policy from nothing and writes it with its card.

    .venv/bin/python scripts/train_demo_policy.py --out models/demo-policy

First it learns to answer, then it is spoiled on purpose: a base that errs is what self-play can improve.
"""

import argparse
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import torch
from demo_models.cards import Phase, PolicyFigures, policy_card
from demo_models.material import QuestionPool, draw_kind
from demo_models.policy import END, chat_ids, new_policy, save_policy, train_tokenizer
from demo_models.sampling import right_by_task, sample, shares
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast, get_cosine_schedule_with_warmup

from sparring_controller.demo.small_world import AnswerKind, Split, prompts, write
from sparring_trainer.learning.probe import write_probe_for

SEED: Final = 0
BATCH: Final = 64
IGNORED: Final = -100
SYSTEMS: Final = ("You are a helpful assistant.", "Answer briefly.", "Be honest and short.")


PHASES: Final = (
    Phase(
        "learn",
        800,
        2e-3,
        {AnswerKind.FULL: 0.4, AnswerKind.SHORT: 0.2, AnswerKind.RAMBLING: 0.25, AnswerKind.EVASIVE: 0.15},
    ),
    Phase(
        "spoil",
        150,
        5e-4,
        {
            AnswerKind.FULL: 0.2,
            AnswerKind.SHORT: 0.16,
            AnswerKind.RAMBLING: 0.16,
            AnswerKind.EVASIVE: 0.1,
            AnswerKind.WRONG: 0.28,
            AnswerKind.REPEATED: 0.04,
            AnswerKind.GARBLED: 0.06,
        },
    ),
)


def main() -> None:
    """Train, measure on held-out prompts, write the model and its card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the directory to write")
    out: Path = parser.parse_args().out
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    rng, pool, started = random.Random(SEED), QuestionPool(SEED), time.process_time()
    tokenizer = train_tokenizer(_texts(pool, rng))
    model = new_policy(tokenizer)
    for phase in PHASES:
        _train(model, tokenizer, phase, pool, rng)
    seconds = time.process_time() - started
    # What is measured is what is shipped: the weights as rounded to fp16.
    model.half().float()
    save_policy(model, tokenizer, out)
    card = policy_card(model.num_parameters(), seconds, BATCH, PHASES, _measure(model, tokenizer))
    (out / "README.md").write_text(card, encoding="utf-8")
    write_probe_for(out)
    print(card)


def _texts(pool: QuestionPool, rng: random.Random) -> Iterator[str]:
    for _ in range(4000):
        question = pool.draw(rng)
        yield question.prompt
        yield write(question, draw_kind(PHASES[0].mixture, rng), rng)


def _train(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, phase: Phase, pool: QuestionPool, rng: random.Random
) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=phase.rate, weight_decay=0.01, betas=(0.9, 0.95))
    schedule = get_cosine_schedule_with_warmup(optimizer, 20, phase.steps)
    model.train()
    for step in range(phase.steps):
        ids, labels = _batch(tokenizer, phase, pool, rng)
        loss = model(input_ids=ids, attention_mask=(ids != model.config.pad_token_id).long(), labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 50 == 0 or step == phase.steps - 1:
            print(f"{phase.name} step {step} loss {loss.item():.3f}", flush=True)


def _batch(
    tokenizer: PreTrainedTokenizerFast, phase: Phase, pool: QuestionPool, rng: random.Random
) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and labels [BATCH, longest], padded on the right; only the answer and the end of the turn are learnt."""
    rows: list[tuple[list[int], list[int]]] = []
    for _ in range(BATCH):
        question = pool.draw(rng)
        answer = write(question, draw_kind(phase.mixture, rng), rng)
        asked = chat_ids(tokenizer, question.prompt, rng.choice(SYSTEMS) if rng.random() < 0.05 else None)
        rows.append((asked, tokenizer.encode(answer + END, add_special_tokens=False)))
    width = max(len(asked) + len(said) for asked, said in rows)
    pad = tokenizer.pad_token_id
    ids = [asked + said + [pad] * (width - len(asked) - len(said)) for asked, said in rows]
    labels = [[IGNORED] * len(asked) + said + [IGNORED] * (width - len(asked) - len(said)) for asked, said in rows]
    return torch.tensor(ids), torch.tensor(labels)


def _measure(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> PolicyFigures:
    held_out = list(prompts(Split.HELD_OUT, 600, SEED))
    torch.manual_seed(SEED)
    drawn = sample(model, tokenizer, held_out, per_prompt=4)
    greedy = sample(model, tokenizer, held_out, greedy=True)
    return PolicyFigures(
        prompts=len(held_out),
        drawn=shares(drawn),
        greedy=shares(greedy),
        drawn_by_task=right_by_task(drawn),
        greedy_by_task=right_by_task(greedy),
        tokens=sum(one.tokens for one in drawn) / len(drawn),
    )


if __name__ == "__main__":
    main()
