"""What the demo leaves: report.json, report.md and chart.png."""

from pathlib import Path

from rich.table import Table
from rich.text import Text

from sparring_controller.rounds.stages.round_report import RoundReport
from sparring_controller.terminal.round_tables import markdown_table, notes
from sparring_shared.artifacts import read_records, replacing, write_json
from sparring_shared.paths import RunPaths
from sparring_shared.preference import win_rates
from sparring_shared.records import CandidateSet, Message, PreferenceMatrix, Record
from sparring_shared.run_config import RunConfig
from sparring_shared.wire.controller import RunStatus


class DemoRun(Record):
    """One of the demo's runs with the reports of its rounds, round 0 (the base) first."""

    run_id: str
    config: RunConfig
    rounds: tuple[RoundReport, ...]


class ExampleAnswer(Record):
    """An answer and its win rate against all K answers to the same prompt, itself included as 0.5."""

    text: str
    win_rate: float


class Example(Record):
    """One prompt with its K answers, best first."""

    prompt: tuple[Message, ...]
    answers: tuple[ExampleAnswer, ...]


class DemoReport(Record):
    """`report.json`; `seconds` is the wall time of the command that wrote it."""

    runs: dict[str, DemoRun]
    example: Example
    seconds: float


def example_of(runs_dir: Path, run: RunStatus) -> Example:
    """The prompt of the first shard of the first round whose answers differ most."""
    places = RunPaths(runs_dir, run.run_id)
    preferences = {matrix.prompt_id: matrix for matrix in read_records(places.shard(1, "preferences", 0), PreferenceMatrix)}
    judged = [
        each for each in read_records(places.shard(1, "candidates", 0), CandidateSet) if each.prompt.prompt_id in preferences
    ]
    chosen = max(judged, key=lambda each: len({candidate.text for candidate in each.candidates}))
    rates = win_rates(preferences[chosen.prompt.prompt_id].probs)
    answers = [
        ExampleAnswer(text=candidate.text, win_rate=float(rate))
        for candidate, rate in zip(chosen.candidates, rates, strict=True)
    ]
    return Example(prompt=chosen.prompt.messages, answers=tuple(sorted(answers, key=lambda answer: -answer.win_rate)))


def write_report(folder: Path, report: DemoReport) -> list[Path]:
    """Write all three files; returns where they are."""
    # Drawing is slow to import, and only the end of the demo needs it.
    from sparring_controller.demo.chart import draw_chart

    paths = [folder / name for name in ("report.json", "report.md", "chart.png")]
    write_json(paths[0], report.model_dump(mode="json"))
    with replacing(paths[1]) as temporary:
        temporary.write_text(markdown(report), encoding="utf-8")
    draw_chart(paths[2], {name: run.rounds for name, run in report.runs.items()})
    return paths


def markdown(report: DemoReport) -> str:
    """The report for people."""
    parts = ["# Sparring demo", "![win rate and right answers by round](chart.png)"]
    for name, run in report.runs.items():
        parts += [
            f"## {name.upper()}",
            f"Run `{run.run_id}` from the base `{run.config.policy.model}`.",
            markdown_table(run.rounds),
        ]
        parts += notes(run.rounds)
    parts += [_reading(report), "## One prompt, its answers and their win rates", _example(report.example)]
    parts.append(f"The whole took {report.seconds:.0f} seconds.")
    return "\n\n".join(parts) + "\n"


def _reading(report: DemoReport) -> str:
    lines = [
        "Win rates are the judge's, on held-out prompts, with 95% intervals; a draw counts half. Log-ratios are in "
        "nats, log pi - log pi_t summed over an answer, averaged over the round's pairs after training. Seconds are summed "
        "over shards."
    ]
    if any(each.checker for run in report.runs.values() for each in run.rounds):
        lines.append(
            "`right` is the share of answers that an exact checker calls right. The base is spoiled on purpose, so that there "
            "is something to learn. The demo's judge learned from the checker's labels on other prompts, so the checker is a "
            "second measure and not a wholly independent one."
        )
    return "\n\n".join(lines)


def _example(example: Example) -> str:
    prompt = "\n".join(f"> {message.content}" for message in example.prompt)
    answers = "\n".join(f"| {answer.win_rate:.3f} | {_cell(answer.text)} |" for answer in example.answers)
    return f"{prompt}\n\n| win rate | answer |\n| ---: | --- |\n{answers}"


def example_table(example: Example) -> Table:
    """The example for a terminal."""
    prompt = " / ".join(message.content for message in example.prompt)
    table = Table("win rate", f"answer of the base to: {prompt}", title="One prompt of round 1", title_justify="left")
    table.columns[0].justify = "right"
    for answer in example.answers:
        table.add_row(f"{answer.win_rate:.3f}", Text(answer.text))
    return table


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
