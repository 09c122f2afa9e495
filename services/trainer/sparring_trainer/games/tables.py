"""What was found, as Markdown tables."""

from collections.abc import Sequence

import numpy as np

from sparring_trainer.games.findings import GameReport
from sparring_trainer.games.survey import FEW_ROUNDS, NEAR, Course

EARLY = 200
"""The early round after which the survey's table tells the average too."""


def games_table(reports: Sequence[GameReport]) -> str:
    """A line per game and method."""
    lines = [
        "| game | method | rounds | gap of the last policy | gap of the average | finding |",
        "|---|---|---:|---:|---:|---|",
    ]
    for report in reports:
        for finding in report.findings:
            played = finding.played
            gaps = f"{abs(played.last[-1]):.1e} | {abs(played.average[-1]):.1e}"
            rounds = len(played.last) - (0 if finding.method == "SPPO" else 1)
            lines.append(f"| {report.game.name} | {finding.method} | {rounds:,} | {gaps} | {finding.says} |")
    return "\n".join(lines)


def survey_table(courses: Sequence[Course]) -> str:
    """A line per family and method, with medians, means and the worst over the family's games."""
    lines: list[str] = []
    for course in courses:
        early, late = course.average[np.searchsorted(course.at, EARLY)], course.average[-1]
        worst, near, few = late.max(), (late < NEAR).mean(), course.last_of_few.mean()
        averages = f"{np.median(early):.4f} | {np.median(late):.4f} | {worst:.4f} | {near:.0%}"
        lines.append(f"| {course.family} | {course.method} | {averages} | {np.median(course.last):.3f} | {few:.3f} |")
    heads = (
        f"{len(courses[0].last)} games each",
        "method",
        f"average, {EARLY} rounds",
        f"average, {courses[0].at[-1]:,} rounds",
        "its worst",
        f"under {NEAR}",
        "last policy",
        f"after {FEW_ROUNDS} large rounds",
    )
    return "\n".join([f"| {' | '.join(heads)} |", "|---|---|---:|---:|---:|---:|---:|---:|", *lines])
