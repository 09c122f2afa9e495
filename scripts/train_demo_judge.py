"""Trains the demo judge from nothing and writes it with its card; needs the demo policy, as it learns from its answers.

    .venv/bin/python scripts/train_demo_judge.py --policy models/demo-policy --out models/demo-judge

Stage 1 learns from answers written by the grammar, to the prompt itself and to others. Stage 2 adds the policy's own answers
to training prompts. The checker labels those and the answers to other prompts, and takes no part once the judge is trained.
"""

import argparse
import random
import time
from pathlib import Path
from typing import Final

import torch
from demo_models.cards import JudgeFigures, judge_card
from demo_models.judge import build_tokenizer, compare, save_judge
from demo_models.lesson import BATCH, Lesson
from demo_models.material import QuestionPool
from demo_models.pairs import ANSWER_KINDS, JudgedPair, SampledPairs, draw_right, grammar_pair, hard_pair
from demo_models.sampling import sample
from transformers import AutoTokenizer, LlamaForCausalLM

from sparring_controller.demo.small_world import AnswerKind, Split, Task, Verdict, parse, prompts, write

SEED: Final = 0
STAGE1: Final = (2200, 5e-4)
STAGE2: Final = (700, 4e-4)


def main() -> None:
    """Train both stages, measure on held-out prompts, write the judge and its card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--policy", type=Path, default=Path("models/demo-policy"), help="the demo policy's directory")
    parser.add_argument("--out", type=Path, required=True, help="the directory to write")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    rng, pool, started = random.Random(SEED), QuestionPool(SEED), time.process_time()
    lesson = Lesson(build_tokenizer(vocabulary_texts(pool, rng)))
    lesson.train(*STAGE1, lambda: first_pair(pool, rng), "stage 1")
    samples = policy_pairs(options.policy, Split.MODELS, 2400)
    lesson.train(*STAGE2, lambda: second_pair(pool, samples, rng), "stage 2")
    seconds = time.process_time() - started
    # What is measured is what is shipped: the weights as rounded to fp16.
    lesson.model.half().float()
    save_judge(lesson.model, lesson.tokenizer, options.out)
    parameters = sum(weight.numel() for weight in lesson.model.parameters())
    card = judge_card(parameters, seconds, BATCH, (STAGE1, STAGE2), measure(lesson, options.policy))
    (options.out / "README.md").write_text(card, encoding="utf-8")
    print(card)


def vocabulary_texts(pool: QuestionPool, rng: random.Random) -> list[str]:
    """Prompts and answers of every kind, so that every word of the world is a piece of the tokenizer."""
    questions = [pool.draw(rng) for _ in range(6000)]
    return [text for one in questions for text in (one.prompt, write(one, rng.choice(ANSWER_KINDS), rng))]


def first_pair(pool: QuestionPool, rng: random.Random) -> JudgedPair:
    """A pair of stage 1."""
    return hard_pair(pool, rng) if rng.random() < 0.3 else grammar_pair(pool, rng)


def second_pair(pool: QuestionPool, samples: SampledPairs, rng: random.Random) -> JudgedPair:
    """A pair of stage 2."""
    chance = rng.random()
    if chance < 0.5:
        return samples.draw(rng)
    return hard_pair(pool, rng) if chance < 0.75 else grammar_pair(pool, rng)


def policy_pairs(path: Path, split: Split, count: int) -> SampledPairs:
    """Pairs of the policy's answers, 6 to each of `count` prompts of a split."""
    policy = LlamaForCausalLM.from_pretrained(path, dtype=torch.float32)
    torch.manual_seed(SEED)
    asked = list(prompts(split, count, SEED))
    return SampledPairs(sample(policy, AutoTokenizer.from_pretrained(path), asked, per_prompt=6))


def measure(lesson: Lesson, policy: Path) -> JudgeFigures:
    """Accuracy per task on held-out prompts, both orders averaged."""
    rng = random.Random(SEED)
    questions = [parse(prompt) for prompt in prompts(Split.HELD_OUT, 1200, SEED)]
    grammar = [(one.prompt, write(one, draw_right(rng), rng), write(one, AnswerKind.WRONG, rng)) for one in questions]
    sampled = policy_pairs(policy, Split.HELD_OUT, 900)
    return JudgeFigures(
        policy=_accuracy(lesson, sampled.right_over({Verdict.WRONG})),
        grammar=_accuracy(lesson, grammar),
        not_right=_accuracy(lesson, sampled.right_over({Verdict.WRONG, Verdict.EVASIVE, Verdict.GARBLED})),
    )


def _accuracy(lesson: Lesson, triples: list[tuple[str, str, str]]) -> dict[Task, tuple[float, int]]:
    logits = compare(lesson.model, lesson.tokenizer, triples)
    won: dict[Task, list[bool]] = {task: [] for task in Task}
    for (prompt, _, _), logit in zip(triples, logits, strict=True):
        won[parse(prompt).task].append(logit > 0)
    return {task: (sum(wins) / len(wins), len(wins)) for task, wins in won.items()}


if __name__ == "__main__":
    main()
