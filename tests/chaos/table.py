"""The result as a Markdown table."""

from collections import Counter
from collections.abc import Sequence

from chaos.play import Outcome


def table(outcomes: Sequence[Outcome]) -> str:
    """A row per scenario."""
    head = ["| scenario | world | seed | runs | kills | other acts | hit while running | s | outcome |"]
    head += ["|---|---|---:|---:|---:|---:|---|---:|---|"]
    return "\n".join([*head, *map(row, outcomes)])


def row(outcome: Outcome) -> str:
    """One row: `equal` means that pairs and checkpoints are those of the undisturbed runs, to the bit."""
    scenario, hit = outcome.scenario, Counter(outcome.hit)
    shown = ", ".join(f"{stage} {count}" for stage, count in sorted(hit.items(), key=lambda item: -item[1]))
    others = sum(outcome.acts.values()) - outcome.kills
    ended = "**failed**" if outcome.wrong else "done, equal" if scenario.acts else "done"
    cells = (
        scenario.name,
        scenario.world,
        scenario.seed,
        outcome.runs,
        outcome.kills,
        others,
        shown,
        round(outcome.seconds),
        ended,
    )
    return f"| {' | '.join(map(str, cells))} |"
