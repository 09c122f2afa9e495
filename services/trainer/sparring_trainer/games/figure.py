"""The figure: where the policies go, their duality gaps by round, and those over many games. Only this module draws."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib import pyplot
from matplotlib.axes import Axes

from sparring_shared.artifacts import replacing
from sparring_shared.preference import Floats
from sparring_trainer.games.findings import GameReport
from sparring_trainer.games.survey import Course

COLOURS = {
    "SPPO, trained": "tab:blue",
    "SPPO, official": "tab:purple",
    "iterative DPO": "tab:green",
    "INPO": "tab:orange",
    "COMAL": "tab:red",
}
_SURVEYED = ("random 5, no Condorcet winner", "random 5, a Condorcet winner")
_SURVEY_COLOURS = ("black", "tab:blue", "tab:purple", "tab:green", "tab:olive")
_CORNERS = np.array([[0, 0], [1, 0], [0.5, np.sqrt(3) / 2]])
_SMALLEST = 1e-8


def draw_games(path: Path, reports: Sequence[GameReport], courses: Sequence[Course]) -> None:
    """Write a PNG with a column per game, trajectories in the simplex (three answers) or last policies above gap curves.

    With `courses` the last column holds the survey: games without and with a Condorcet winner.
    """
    columns = len(reports) + bool(courses)
    figure, axes = pyplot.subplots(2, columns, figsize=(3.8 * columns, 7), squeeze=False)
    for column, report in enumerate(reports):
        top = axes[0][column]
        (_simplex if len(report.equilibrium) == 3 else _bars)(top, report)
        top.set_title(report.game.name)
        _gaps(axes[1][column], report)
    if reports:
        axes[0][0].legend(fontsize=7, loc="upper left")
        axes[1][0].legend(fontsize=7, loc="lower left")
    for row, family in enumerate(_SURVEYED if courses else ()):
        _survey(axes[row][-1], family, [course for course in courses if course.family == family])
    figure.tight_layout()
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=75)
    pyplot.close(figure)


def _simplex(axes: Axes, report: GameReport) -> None:
    border = _CORNERS[[0, 1, 2, 0]]
    axes.plot(border[:, 0], border[:, 1], color="grey", linewidth=0.8)
    for method, colour in COLOURS.items():
        way: Floats = report.of(method).policies @ _CORNERS
        axes.plot(way[:, 0], way[:, 1], color=colour, linewidth=0.9, label=method)
        axes.plot(*way[-1], color=colour, marker="o", markersize=4)
    axes.plot(*(report.equilibrium @ _CORNERS), color="black", marker="*", markersize=11, linestyle="", label="equilibrium")
    axes.set_aspect("equal")
    axes.axis("off")


def _bars(axes: Axes, report: GameReport) -> None:
    place, width = np.arange(len(report.equilibrium)), 0.16
    shown = [(method, report.of(method).policies[-1], colour) for method, colour in COLOURS.items()]
    for number, (method, policy, colour) in enumerate([*shown, ("equilibrium", report.equilibrium, "black")]):
        axes.bar(place + width * (number - 2), policy, width, color=colour, label=method)
    axes.set_xlabel("answer")
    axes.set_ylabel("probability in the last round")


def _gaps(axes: Axes, report: GameReport) -> None:
    for method, colour in COLOURS.items():
        last = report.of(method).last
        axes.loglog(np.arange(1, len(last) + 1), np.maximum(last, _SMALLEST), color=colour, linewidth=0.9, label=method)
    for name, gaps, style in (("SPPO, T = 25,600", "last", "-"), ("its average", "average", "--")):
        played = report.of("SPPO")
        curve = np.maximum(played.last if gaps == "last" else played.average, _SMALLEST)
        at = np.unique(np.geomspace(1, len(curve), 400).astype(int)) - 1
        axes.loglog(at + 1, curve[at], color="black", linewidth=0.8, linestyle=style, label=name)
    axes.set_xlabel("round")
    axes.set_ylabel("duality gap")


def _survey(axes: Axes, family: str, courses: Sequence[Course]) -> None:
    for course, colour in zip(courses, _SURVEY_COLOURS, strict=True):
        low, median, high = np.maximum(np.quantile(course.average, [0.25, 0.5, 0.75], axis=1), _SMALLEST)
        axes.loglog(course.at, median, color=colour, linewidth=1.2, label=course.method)
        axes.fill_between(course.at, low, high, color=colour, alpha=0.12, linewidth=0)
    axes.set_title(f"{len(courses[0].last)} games: {family}", fontsize=9)
    axes.set_xlabel("round")
    axes.set_ylabel("gap of the average, median and quartiles")
    axes.legend(fontsize=6, loc="lower left")
