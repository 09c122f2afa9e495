"""Literal round reports for the tests of what is made of them."""

from sparring_controller.rounds.estimates import Estimate
from sparring_controller.rounds.stages.round_report import CheckerReport, RoundReport


def report(number: int, win: float, previous: float | None, right: float | None) -> RoundReport:
    return RoundReport(
        round=number,
        version=number,
        prompts=400,
        win_rate_vs_base=Estimate(value=win, low=win - 0.04, high=win + 0.04),
        win_rate_vs_previous=None if previous is None else Estimate(value=previous, low=previous - 0.05, high=previous + 0.05),
        mean_p_vs_base=win,
        checker=None
        if right is None
        else CheckerReport(right=right, low=right - 0.03, high=right + 0.03, verdicts={"right": 9}),
        mean_answer_tokens=6.25,
        chosen_logratio=1.5 if number else None,
        rejected_logratio=-2.25 if number else None,
        training={},
        pairs=590 if number else 0,
        dropped={},
        truncated_share=0.0,
        judge_truncated_share=0.0 if number else None,
        seconds={"generate": 8.04, "judge": 9.0, "train": 12.5, "evaluate": 3.25} if number else {"evaluate": 3.0},
    )


BASE = report(0, 0.5, None, 0.38)
FIRST = report(1, 0.62, 0.62, 0.47)
SECOND = report(2, 0.68, 0.57, 0.45)
