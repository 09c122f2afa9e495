"""The chart of a demo: win rate against the base and the share of right answers, by round. Only this module draws."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from sparring_controller.rounds.stages.round_report import RoundReport
from sparring_shared.artifacts import replacing


def draw_chart(path: Path, runs: Mapping[str, Sequence[RoundReport]]) -> None:
    """Write a PNG with one line per run; bars are 95% intervals. Without a checker the second part is left out."""
    checked = any(report.checker for reports in runs.values() for report in reports)
    figure, axes = pyplot.subplots(1, 2 if checked else 1, figsize=(10 if checked else 5, 4), squeeze=False)
    wins = axes[0][0]
    for name, reports in runs.items():
        estimates = [report.win_rate_vs_base for report in reports]
        _line(wins, name, [report.round for report in reports], [(e.value, e.low, e.high) for e in estimates])
    wins.axhline(0.5, color="grey", linewidth=0.8)
    _name(wins, "Win rate against the base (judge)", "win rate")
    if checked:
        for name, reports in runs.items():
            right = [(report.round, report.checker) for report in reports if report.checker]
            _line(axes[0][1], name, [number for number, _ in right], [(c.right, c.low, c.high) for _, c in right])
        _name(axes[0][1], "Right answers (exact checker)", "share")
    figure.tight_layout()
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
    pyplot.close(figure)


def _line(axes: Axes, name: str, rounds: list[int], points: list[tuple[float, float, float]]) -> None:
    spread = [[value - low for value, low, _ in points], [high - value for value, _, high in points]]
    axes.errorbar(rounds, [value for value, _, _ in points], yerr=spread, marker="o", capsize=4, label=name)


def _name(axes: Axes, title: str, measure: str) -> None:
    axes.set_title(title)
    axes.set_xlabel("round (0 is the base)")
    axes.set_ylabel(measure)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()
