"""Runs on a terminal: all of them as a list, or one with its reports and what its unfinished rounds are at."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sparring_controller.terminal.round_tables import notes, rich_table, round_reports
from sparring_shared.wire.controller import RoundStatus, RunStatus


def show_runs(runs: Sequence[RunStatus], console: Console) -> None:
    """A line for each run."""
    table = Table("run", "status", "rounds", "made")
    for known in runs:
        table.add_row(known.run_id, known.status, f"{known.completed_rounds} of {known.requested_rounds}", known.created_at)
    console.print(table)


def show_run(status: RunStatus, console: Console) -> None:
    """How far it is, the reports of its rounds, and the stages of those that are not done."""
    rounds = f"{status.completed_rounds} of {status.requested_rounds} rounds"
    console.print(f"{status.run_id}: {status.status}, {rounds}", highlight=False)
    reports = round_reports(status)
    if reports:
        console.print(rich_table(f"{status.name} ({status.known_config.algorithm.name})", reports))
        for note in notes(reports):
            console.print(note, soft_wrap=True, highlight=False)
    unfinished = [played for played in status.rounds if played.state != "done"]
    if unfinished:
        console.print(_stages_table(unfinished))


def _stages_table(rounds: Sequence[RoundStatus]) -> Table:
    table = Table("round", "stage", "done", "running", "failed", "seconds", "latest error")
    for played in rounds:
        for stage in played.stages:
            counts = (f"{stage.done} of {stage.shards}", str(stage.running), str(stage.failed), f"{stage.seconds:.1f}")
            table.add_row(str(played.round), stage.stage, *counts, escape(stage.error or ""))
    return table
