"""A run while it is played: progress bars on a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from sparring_controller.terminal.round_tables import rich_table, round_reports
from sparring_controller.terminal.runs_client import RunsClient
from sparring_shared.errors import Unavailable
from sparring_shared.wire.controller import RoundStatus, RunStatus, StageStatus

_POLL_SECONDS = 1.0
_SILENCE_SECONDS = 60.0


def watch(client: RunsClient, run_id: str, console: Console) -> RunStatus:
    """Show the run until it has nothing more to do, with a table for each round that ends; returns what it came to.

    Raises Unavailable once the controller has not answered for a minute.
    """
    states = _round_by_round(_states(client, run_id), console)
    return _with_bars(states, console) if console.is_terminal else _with_lines(states, console)


def _states(client: RunsClient, run_id: str) -> Iterator[RunStatus]:
    """The run again and again, until it no longer runs; a controller that is being restarted is waited for."""
    silent_since: float | None = None
    while True:
        try:
            status = client.run(run_id)
            silent_since = None
            yield status
            if status.status != "running":
                return
        except Unavailable:
            silent_since = silent_since or time.monotonic()
            if time.monotonic() - silent_since > _SILENCE_SECONDS:
                raise
        time.sleep(_POLL_SECONDS)


def _round_by_round(states: Iterator[RunStatus], console: Console) -> Iterator[RunStatus]:
    """The same states; the report of a round that ended meanwhile is printed, above the bars where there are some."""
    known: int | None = None
    for status in states:
        reports = round_reports(status)
        for report in reports[known:] if known is not None else []:
            console.print(rich_table(f"{status.run_id}, round {report.round}", [report]))
        known = len(reports)
        yield status


def _with_bars(states: Iterator[RunStatus], console: Console) -> RunStatus:
    columns = ("{task.description}", BarColumn(), "{task.fields[shards]}", TimeElapsedColumn(), "{task.fields[rest]}")
    bars: dict[tuple[int, str], TaskID] = {}
    with Progress(*(TextColumn(c) if isinstance(c, str) else c for c in columns), console=console) as progress:
        status: RunStatus | None = None
        for status in states:
            for played in status.rounds:
                for stage in played.stages:
                    key = (played.round, stage.stage)
                    if key not in bars and not _begun(stage):
                        continue
                    if key not in bars:
                        bars[key] = progress.add_task(_title(played, stage), total=1.0, shards="", rest="")
                    progress.update(bars[key], completed=stage.progress, shards=_shards(stage), rest=_rest(played, stage))
                    if stage.done == stage.shards:
                        progress.stop_task(bars[key])
    return _last(status)


def _with_lines(states: Iterator[RunStatus], console: Console) -> RunStatus:
    told: set[str] = set()
    status: RunStatus | None = None
    for status in states:
        for line in _news(status):
            if line not in told:
                told.add(line)
                console.print(line, soft_wrap=True, highlight=False, markup=False)
    return _last(status)


def _news(status: RunStatus) -> Iterator[str]:
    """Lines that stay true once they are: which stages are done, and what went wrong."""
    for played in status.rounds:
        for stage in played.stages:
            if stage.error:
                yield f"{_title(played, stage)}: {stage.error}"
            if stage.done == stage.shards:
                yield f"{_title(played, stage)}: done in {stage.seconds:.1f} s"


def _begun(stage: StageStatus) -> bool:
    return bool(stage.done or stage.running or stage.failed or stage.error)


def _title(played: RoundStatus, stage: StageStatus) -> str:
    return f"round {played.round} {stage.stage}" if played.round else "base evaluate"


def _shards(stage: StageStatus) -> str:
    return f"{stage.done}/{stage.shards}"


def _rest(played: RoundStatus, stage: StageStatus) -> str:
    if stage.done == stage.shards:
        return ""
    if stage.error:
        return stage.error
    return "" if played.eta_seconds is None else f"round ends in about {played.eta_seconds:.0f} s"


def _last(status: RunStatus | None) -> RunStatus:
    assert status is not None, "the first state is always there"
    return status
