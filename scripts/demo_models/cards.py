"""The model cards, written by the training scripts from what they measured, so that no figure can go stale."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sparring_controller.demo.small_world import AnswerKind, Task, Verdict

Shown = TypeVar("Shown", Verdict, Task)


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the policy's training: its length, its peak learning rate, and the mixture of answers it learns."""

    name: str
    steps: int
    rate: float
    mixture: Mapping[AnswerKind, float]


@dataclass(frozen=True, slots=True)
class PolicyFigures:
    """What was measured of a policy on held-out prompts; `tokens` is the mean length of an answer."""

    prompts: int
    drawn: Mapping[Verdict, float]
    greedy: Mapping[Verdict, float]
    drawn_by_task: Mapping[Task, float]
    greedy_by_task: Mapping[Task, float]
    tokens: float


@dataclass(frozen=True, slots=True)
class JudgeFigures:
    """What was measured of a judge on held-out prompts: accuracy and number of pairs, task by task."""

    policy: Mapping[Task, tuple[float, int]]
    grammar: Mapping[Task, tuple[float, int]]
    not_right: Mapping[Task, tuple[float, int]]


def policy_card(parameters: int, seconds: float, batch: int, phases: Sequence[Phase], figures: PolicyFigures) -> str:
    """The card of the demo policy; `seconds` is the CPU time of its training on one thread."""
    return _template("policy_card").format(
        parameters=parameters,
        seconds=seconds,
        phases="\n".join(f"{at}. {_phase(phase, batch)}" for at, phase in enumerate(phases, 1)),
        prompts=figures.prompts,
        tokens=figures.tokens,
        verdicts=_rows(figures.drawn, figures.greedy),
        tasks=_rows(figures.drawn_by_task, figures.greedy_by_task),
    )


def judge_card(parameters: int, seconds: float, batch: int, stages: Sequence[tuple[int, float]], figures: JudgeFigures) -> str:
    """The card of the demo judge; `seconds` is the CPU time of its training on one thread, sampling included."""
    (first_steps, first_rate), (second_steps, second_rate) = stages
    parts = figures.policy, figures.not_right, figures.grammar
    rows = [[task.value, *(_cell(part[task]) for part in parts)] for task in Task]
    rows.append(["all", *(_cell(_overall(part)) for part in parts)])
    worst = min(figures.policy, key=lambda task: figures.policy[task][0])
    return _template("judge_card").format(
        parameters=parameters,
        seconds=seconds,
        batch=batch,
        first_steps=first_steps,
        first_rate=first_rate,
        second_steps=second_steps,
        second_rate=second_rate,
        rows="\n".join(f"| {' | '.join(row)} |" for row in rows),
        worst=f"{worst}, {figures.policy[worst][0]:.1%}",
    )


def _template(name: str) -> str:
    return (Path(__file__).parent / f"{name}.md").read_text(encoding="utf-8")


def _phase(phase: Phase, batch: int) -> str:
    mixture = ", ".join(f"{kind} {share:.0%}" for kind, share in phase.mixture.items())
    how = f"{phase.steps} steps of {batch} conversations, AdamW, peak learning rate {phase.rate:g}"
    return f"`{phase.name}`: {how}; answers: {mixture}."


def _rows(drawn: Mapping[Shown, float], greedy: Mapping[Shown, float]) -> str:
    return "\n".join(
        f"| {name} | {one:.1%} | {other:.1%} |" for (name, one), other in zip(drawn.items(), greedy.values(), strict=True)
    )


def _cell(figure: tuple[float, int]) -> str:
    return f"{figure[0]:.1%} ({figure[1]})"


def _overall(part: Mapping[Task, tuple[float, int]]) -> tuple[float, int]:
    total = sum(count for _, count in part.values())
    return sum(share * count for share, count in part.values()) / total, total
