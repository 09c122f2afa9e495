"""`sparring doctor`: what this machine's Sparring consists of, and what was found as a table."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import SecretStr
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sparring_controller.doctor.checks import all_checks, exit_code
from sparring_controller.doctor.examination import Check, Finding, Level, examine
from sparring_controller.doctor.examination import as_json as json_of
from sparring_controller.doctor.installation import Installation, Port, Service, asked_services
from sparring_controller.local.redis_server import redis_binary
from sparring_controller.local.services import SERVICES, LocalServices, address, reached
from sparring_controller.local.settings_here import redis_here, settings_here
from sparring_shared.errors import InvalidInput
from sparring_shared.run_config import JudgeConfig, RunConfig
from sparring_shared.wire.judge import WITHOUT_MODEL

_COLOURS = {"ok": "green", "warning": "yellow", "wrong": "red"}


def examine_here(runs_dir: Path, policy: str, judge: JudgeConfig, config: RunConfig | None) -> list[Finding]:
    """What keeps the Sparring of a runs folder from working; `config` is the run that shall be played."""
    local = LocalServices(runs_dir)
    ours = [Check("processes", lambda: processes(local))]
    if redis_here(local) is None:
        ours.append(Check("Redis", redis_to_start))
    try:
        here = installation(local, policy, judge, config)
    except InvalidInput as error:
        return [Finding(name="settings", level="wrong", says=error.message), *examine(ours)]
    return examine([*all_checks(here), *ours])


def installation(local: LocalServices, policy: str, judge: JudgeConfig, config: RunConfig | None) -> Installation:
    """What is to be examined. Raises InvalidInput naming the variables that are wrong."""
    settings, started, redis_url = settings_here(local), local.endpoints(), redis_here(local)
    urls = started.model_dump() if started else {name: reached(*address(name)) for name in SERVICES}
    controller = Service("controller", urls["controller"], wanted=started is not None)
    return Installation(
        settings=settings,
        redis_url=None if redis_url is None else SecretStr(redis_url),
        services=(controller, *asked_services(settings, up=started is not None)),
        ports=() if started else tuple(Port(name, *address(name)) for name in SERVICES),
        folders=tuple(_further_folders()),
        policy=policy,
        judge=None if judge.engine in ("openai", *WITHOUT_MODEL) else judge.model,
        config=config,
    )


def processes(local: LocalServices) -> list[Finding]:
    """What supervisord says of the processes that `sparring up` keeps. Raises Broken if it does not answer."""
    if local.processes.abandoned():
        return [_processes("wrong", "A command that was killed has left processes behind; end them with `sparring down`.")]
    if not local.processes.supervised():
        return [_processes("ok", f"None are running for {local.runs_dir}.")]
    states, logs = local.processes.states().values(), local.processes.folder / "logs"
    ended = ", ".join(state.name for state in states if state.ended)
    if ended:
        return [_processes("wrong", f"{ended}: ended, and are started again and again; see why in {logs}.")]
    begun = ", ".join(state.name for state in states if state.state != "RUNNING")
    if begun:
        return [_processes("warning", f"{begun}: started less than 10 s ago; look again, and see {logs} if that stays so.")]
    return [_processes("ok", "All are running.")]


def redis_to_start() -> list[Finding]:
    """The Redis that `sparring up` would start. Raises InvalidInput if there is none."""
    return [Finding(name="Redis", level="ok", says=f"None is running; `sparring up` starts {redis_binary()}.")]


def show_findings(findings: Sequence[Finding], console: Console, *, as_json: bool) -> int:
    """As a table, or as JSON for machines; returns the exit code, 1 if anything is wrong."""
    if as_json:
        print(json_of(findings))
    else:
        console.print(findings_table(findings))
    return exit_code(findings)


def findings_table(findings: Sequence[Finding]) -> Table:
    """A row for each finding."""
    table = Table("", "what", "how it is, and what to change")
    for found in findings:
        table.add_row(f"[{_COLOURS[found.level]}]{found.level}[/]", found.name, escape(found.says))
    return table


def _processes(level: Level, says: str) -> Finding:
    return Finding(name="processes", level=level, says=says)


def _further_folders() -> Iterator[tuple[str, Path]]:
    """Those that services write to where a variable puts them elsewhere than into the runs folder."""
    trainer, kept = (os.environ.get(f"SPARRING_{name}") for name in ("TRAINER_DIR", "JUDGE_KEPT"))
    if trainer:
        yield "trainer's folder", Path(trainer)
    if kept:
        yield "judge's folder", Path(kept).parent
