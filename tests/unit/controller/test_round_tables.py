"""The report of a run, from literal round reports."""

import io

from reports import BASE, FIRST, SECOND, report
from rich.console import Console

from sparring_controller.terminal.round_tables import markdown_table, notes, over_optimisation, rich_table

TABLE = (
    "| round | win rate vs base | vs previous | right | tokens | log-ratio chosen | rejected | generate s | judge s | train s "
    "| evaluate s |\n"
    "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
    "| 0 (base) | - | - | 0.380 (0.350-0.410) | 6.2 | - | - | - | - | - | 3.0 |\n"
    "| 1 | 0.620 (0.580-0.660) | 0.620 (0.570-0.670) | 0.470 (0.440-0.500) | 6.2 | +1.50 | -2.25 | 8.0 | 9.0 | 12.5 | 3.2 |"
)


def test_markdown() -> None:
    assert markdown_table([BASE, FIRST]) == TABLE


def test_the_terminal_shows_the_same_cells() -> None:
    console = Console(file=io.StringIO(), width=200)
    console.print(rich_table("demo", [BASE, FIRST]))
    assert isinstance(console.file, io.StringIO)
    shown = [[cell.strip() for cell in line.split("│")[1:-1]] for line in console.file.getvalue().splitlines() if "│" in line]
    told = [[cell.strip() for cell in line.split("|")[1:-1]] for line in TABLE.splitlines()[2:]]
    assert shown == told


def test_a_win_with_fewer_right_answers_is_told() -> None:
    assert over_optimisation([BASE, FIRST, SECOND]) == [
        "Round 2: the judge prefers it to round 1 (win rate 0.570) while the share of right answers fell from 0.470 to 0.450: "
        "the policy is over-optimised for the judge."
    ]


def test_what_training_cut_is_told() -> None:
    cut = {"cut_answers": 0.125, "cut_prompts": 0.0, "lost_tokens": 12345.0}
    whole = {"cut_answers": 0.0, "cut_prompts": 0.0, "lost_tokens": 0.0}
    told = [BASE, FIRST.model_copy(update={"training": cut}), SECOND.model_copy(update={"training": whole})]
    assert notes(told) == [
        *over_optimisation(told),
        "Round 1: training.max_length cut 12.5% of the answers (12,345 tokens lost) and 0.0% of the prompts.",
    ]


def test_nothing_is_told_without_a_win_or_a_checker() -> None:
    assert over_optimisation([FIRST, report(2, 0.6, 0.5, 0.40)]) == []
    assert over_optimisation([FIRST, report(2, 0.6, 0.6, None)]) == []
