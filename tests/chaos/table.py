"""The result as a Markdown table."""

from chaos.play import Outcome

HEAD = (
    "| scenario | world | seed | runs | kills | other acts | hit while running | s | outcome |",
    "|---|---|---:|---:|---:|---:|---|---:|---|",
)


def row(outcome: Outcome) -> str:
    """One row: `equal` means that pairs and checkpoints are those of the undisturbed runs, to the bit."""
    scenario = outcome.scenario
    shown = ", ".join(f"{stage} {count}" for stage, count in outcome.hit.most_common())
    others = sum(outcome.acts.values()) - outcome.kills
    ended = "**failed**" if outcome.wrong else "done, equal" if scenario.acts else "done"
    cells = (scenario.name, scenario.world, scenario.seed, outcome.runs, outcome.kills, others, shown)
    return f"| {' | '.join(map(str, cells))} | {outcome.seconds:.0f} | {ended} |"
