"""The reports of a run's rounds as a table for the terminal and as Markdown: pure functions."""

from collections.abc import Sequence
from itertools import pairwise

from rich.table import Table

from sparring_controller.rounds.estimates import Estimate
from sparring_controller.rounds.stages.round_report import CheckerReport, RoundReport
from sparring_shared.wire.controller import RunStatus

HEADER = (
    "round",
    "win rate vs base",
    "vs previous",
    "right",
    "tokens",
    "log-ratio chosen",
    "rejected",
    "generate s",
    "judge s",
    "train s",
    "evaluate s",
)
_STAGES = ("generate", "judge", "train", "evaluate")
_NOTHING = "-"


def round_reports(status: RunStatus) -> list[RoundReport]:
    """The reports of all rounds that are evaluated, round 0 (the base) first."""
    return [RoundReport.model_validate(played.report) for played in status.rounds if played.report is not None]


def rows(reports: Sequence[RoundReport]) -> list[tuple[str, ...]]:
    """One row a round under `HEADER`; intervals are 95%, log-ratios in nats, `right` is the exact checker's share."""
    return [
        (
            str(report.round) if report.round else "0 (base)",
            _interval(report.win_rate_vs_base) if report.round else _NOTHING,
            _interval(report.win_rate_vs_previous),
            _interval(report.checker),
            f"{report.mean_answer_tokens:.1f}",
            _nats(report.chosen_logratio),
            _nats(report.rejected_logratio),
            *(f"{report.seconds[stage]:.1f}" if stage in report.seconds else _NOTHING for stage in _STAGES),
        )
        for report in reports
    ]


def notes(reports: Sequence[RoundReport]) -> list[str]:
    """What the table does not show, a sentence each."""
    return over_optimisation(reports) + cut_by_training(reports)


def cut_by_training(reports: Sequence[RoundReport]) -> list[str]:
    """One sentence for each round whose training cut answers or prompts, see the trainer's `cuts`."""
    return [
        f"Round {report.round}: training.max_length cut {told['cut_answers']:.1%} of the answers ({told['lost_tokens']:,.0f} "
        f"tokens lost) and {told['cut_prompts']:.1%} of the prompts."
        for report in reports
        if (told := report.training).get("cut_answers") or told.get("cut_prompts")
    ]


def over_optimisation(reports: Sequence[RoundReport]) -> list[str]:
    """One sentence for each round that the judge prefers to the one before although fewer answers are right."""
    return [
        f"Round {after.round}: the judge prefers it to round {before.round} "
        f"(win rate {after.win_rate_vs_previous.value:.3f}) while the share of right answers fell from "
        f"{before.checker.right:.3f} to {after.checker.right:.3f}: the policy is over-optimised for the judge."
        for before, after in pairwise(reports)
        if before.checker and after.checker and after.win_rate_vs_previous
        if after.win_rate_vs_previous.value > 0.5 and after.checker.right < before.checker.right
    ]


def rich_table(title: str, reports: Sequence[RoundReport]) -> Table:
    """The table for a terminal."""
    table = Table(title=title, title_justify="left")
    for name in HEADER:
        table.add_column(name, justify="right")
    for row in rows(reports):
        table.add_row(*row)
    return table


def markdown_table(reports: Sequence[RoundReport]) -> str:
    """The table as Markdown."""
    lines = [HEADER, tuple("---:" for _ in HEADER), *rows(reports)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _interval(estimate: Estimate | CheckerReport | None) -> str:
    if estimate is None:
        return _NOTHING
    value = estimate.value if isinstance(estimate, Estimate) else estimate.right
    return f"{value:.3f} ({estimate.low:.3f}-{estimate.high:.3f})"


def _nats(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:+.2f}"
