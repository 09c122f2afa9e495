"""The command `sparring`: start the services, play a run, look at it, end them."""

import functools
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from sparring_controller.demo.play import DemoOptions, play_demo
from sparring_controller.local import foreground
from sparring_controller.local.services import DEMO_JUDGE, DEMO_POLICY, LocalServices, require_model
from sparring_controller.rounds.prompts.run_prompts import read_prompts
from sparring_controller.terminal.prompt_tables import examples, left_out, prompts_table
from sparring_controller.terminal.round_tables import notes, rich_table, round_reports
from sparring_controller.terminal.run_folder import judge_of_run, places_of, with_judge
from sparring_controller.terminal.runs_client import RunsClient, find_controller
from sparring_controller.terminal.watching import watch as watch_run
from sparring_shared.errors import InvalidInput, SparringError, Unavailable, fail
from sparring_shared.run_config import JudgeConfig, read_run_config
from sparring_shared.wire.controller import ResumeRequest, RunStatus

app = typer.Typer(
    help="Align language models by self-play: rounds of generate, judge, select, train, evaluate.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
F = TypeVar("F", bound=Callable[..., Any])

Model = Annotated[str, typer.Option(envvar="SPARRING_GENERATOR_MODEL", help="Base model: a folder or a Hugging Face hub id.")]
_JUDGE = typer.Option(envvar="SPARRING_JUDGE_MODEL", help="Judge: a folder or a hub id such as llm-blender/PairRM.")
Judge = Annotated[str, _JUDGE]
JudgeOfRun = Annotated[str | None, _JUDGE]
RunsDir = Annotated[Path, typer.Option(envvar="SPARRING_RUNS_DIR", help="Folder of all runs, logs and the database.")]
FreePorts = Annotated[bool, typer.Option("--free-ports", help="Listen on ports that nobody has, not on SPARRING_*_PORT.")]
Detach = Annotated[bool, typer.Option("--detach", help="Return at once; everything goes on in the background.")]
AcceptJudge = Annotated[
    bool, typer.Option("--accept-judge", help="Pin the run anew, to the judge that answers now; it is noted in its reports.")
]
Bound = Annotated[int | None, typer.Option(min=1, help="In the place of the bound in the config's `judge`.")]
RunId = Annotated[str, typer.Argument(help="As `sparring run` and `sparring status` print it.")]

_RUNS = Path("runs")


def _console() -> Console:
    """Wide enough for the report where the output is no terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=180)


def _in_sentences(command: F) -> F:
    """An error ends the command with its sentence and exit code 2; Ctrl-C ends it with 130."""

    @functools.wraps(command)
    def wrapped(*args: Any, **options: Any) -> None:
        try:
            with foreground.interruptible():
                command(*args, **options)
        except SparringError as error:
            if isinstance(error.detail, str):
                typer.echo(error.detail, err=True)
            raise typer.Exit(fail(error.message)) from None
        except KeyboardInterrupt:
            raise typer.Exit(130) from None

    return wrapped  # pyright: ignore[reportReturnType]  # it has the command's signature


@app.command()
@_in_sentences
def up(
    model: Model = DEMO_POLICY,
    judge: Judge = DEMO_JUDGE,
    runs_dir: RunsDir = _RUNS,
    free_ports: FreePorts = False,
    detach: Detach = False,
) -> None:
    """Start all services as processes of this machine, until Ctrl-C or `sparring down`."""
    console, local = _console(), LocalServices(runs_dir)
    foreground.start(local, console, model, JudgeConfig(model=judge), free_ports=free_ports, owned=not detach)
    console.print(f"Logs are in {local.processes.folder / 'logs'}.", soft_wrap=True, highlight=False)
    if detach:
        return
    console.print("Ctrl-C ends all of them.")
    try:
        foreground.stay(local)
    except KeyboardInterrupt:
        foreground.end(local, console)


@app.command()
@_in_sentences
def down(runs_dir: RunsDir = _RUNS) -> None:
    """End the services of a runs folder, and whatever a killed command left behind."""
    local = LocalServices(runs_dir)
    supervised = local.processes.supervised()
    left = local.end()
    if left:
        typer.echo(f"Ended {left} processes that had lost their supervisor.")
    typer.echo("Sparring is down." if supervised or left else f"Nothing was running for {runs_dir}.")


@app.command()
@_in_sentences
def run(
    config: Annotated[Path, typer.Argument(help="A run config, such as configs/demo-sppo.toml.")],
    judge: JudgeOfRun = None,
    runs_dir: RunsDir = _RUNS,
    free_ports: FreePorts = False,
    detach: Detach = False,
) -> None:
    """Play all rounds of a run config; starts the services for the duration where none are running, with the config's judge."""
    wanted = with_judge(read_run_config(config), judge, config)
    require_model(wanted.policy.model, "policy.model")
    for note in left_out(read_prompts(wanted.prompts)):
        typer.echo(note)
    with _controller(runs_dir, wanted.policy.model, wanted.judge, free_ports, detach) as (client, console, ours):
        status = client.create(wanted)
        client.play(status.run_id, wanted.rounds)
        console.print(f"Run {status.run_id} plays {wanted.rounds} rounds.", highlight=False)
        _follow(client, status.run_id, runs_dir, console, ours=ours, detach=detach)


@app.command()
@_in_sentences
def prompts(config: Annotated[Path, typer.Argument(help="A run config, such as configs/demo-sppo.toml.")]) -> None:
    """Read all prompts of a run config: how many are played and held out, what is dropped, examples; starts nothing."""
    wanted, console = read_run_config(config), _console()
    found = read_prompts(wanted.prompts)
    console.print(prompts_table(wanted, found))
    for line in (*left_out(found), *examples(wanted, found)):
        console.print(line, soft_wrap=True, highlight=False, markup=False)


@app.command()
@_in_sentences
def resume(
    run_id: RunId,
    judge: JudgeOfRun = None,
    accept_judge: AcceptJudge = False,
    max_requests: Bound = None,
    max_tokens: Bound = None,
    runs_dir: RunsDir = _RUNS,
    free_ports: FreePorts = False,
    detach: Detach = False,
) -> None:
    """Let a run go on that was interrupted, paused or has failed; nothing that is done is done again."""
    places = places_of(runs_dir, run_id)
    wanted = ResumeRequest(accept_judge=accept_judge, max_requests=max_requests, max_tokens=max_tokens)
    model = read_run_config(places.config).policy.model
    chosen = judge_of_run(places, judge, accept=accept_judge)
    with _controller(runs_dir, model, chosen, free_ports, detach) as (client, console, ours):
        client.resume(run_id, wanted)
        _follow(client, run_id, runs_dir, console, ours=ours, detach=detach)


@app.command()
@_in_sentences
def watch(run_id: RunId, runs_dir: RunsDir = _RUNS) -> None:
    """Show a run with progress bars until it has nothing more to do, then its report."""
    _follow(_running_controller(runs_dir), run_id, runs_dir, _console(), ours=False, detach=False)


@app.command()
@_in_sentences
def status(
    run_id: Annotated[str | None, typer.Argument(help="One run; all of them without it.")] = None, runs_dir: RunsDir = _RUNS
) -> None:
    """Say where the services listen and how the runs stand."""
    client, console = _running_controller(runs_dir), _console()
    local = LocalServices(runs_dir).endpoints()
    console.print(local.in_one_line() if local else f"controller {client.url}", soft_wrap=True, highlight=False)
    if run_id is not None:
        _print_run(client.run(run_id), console)
        return
    table = Table("run", "status", "rounds", "made")
    for known in client.runs().runs:
        table.add_row(known.run_id, known.status, f"{known.completed_rounds} of {known.requested_rounds}", known.created_at)
    console.print(table)


@app.command()
@_in_sentences
def demo(
    model: Annotated[str | None, typer.Option(help="Your own base model instead of the tiny one.")] = None,
    judge: Annotated[str | None, typer.Option(help="Your own judge, such as llm-blender/PairRM.")] = None,
    prompts: Annotated[str | None, typer.Option(help="Your own prompts: a file or a Hugging Face dataset id.")] = None,
    runs_dir: Annotated[Path, typer.Option(help="Folder of the demo's runs and its report.")] = Path("runs/demo"),
) -> None:
    """Play three SPPO rounds and two INPO rounds from the same base, and write report.json, report.md and chart.png."""
    play_demo(DemoOptions(model=model, judge=judge, prompts=prompts, folder=runs_dir), _console())


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}, add_help_option=False
)
def games(context: typer.Context) -> None:
    """Play the methods on games with a known equilibrium: sparring games --all --plot games.png (more: --help)."""
    # The test-bed belongs to the trainer, which no other service imports.
    raise typer.Exit(subprocess.call([sys.executable, "-m", "sparring_trainer.games", *context.args]))


@contextmanager
def _controller(
    runs_dir: Path, model: str, judge: JudgeConfig, free_ports: bool, detach: bool
) -> Iterator[tuple[RunsClient, Console, bool]]:
    """A controller to talk to, and whether its services end with this command."""
    console, local = _console(), LocalServices(runs_dir)
    found = find_controller(runs_dir)
    if found is not None:
        console.print(f"Using the services of the controller at {found.url}.", highlight=False)
        yield found, console, False
    elif detach:
        endpoints = foreground.start(local, console, model, judge, free_ports=free_ports, owned=False)
        yield RunsClient(endpoints.controller), console, False
    else:
        with foreground.services(local, console, model, judge, free_ports=free_ports) as endpoints:
            yield RunsClient(endpoints.controller), console, True


def _running_controller(runs_dir: Path) -> RunsClient:
    found = find_controller(runs_dir)
    if found is None:
        raise Unavailable(f"No controller is running for {runs_dir}; start one with `sparring up`.")
    return found


def _follow(client: RunsClient, run_id: str, runs_dir: Path, console: Console, *, ours: bool, detach: bool) -> None:
    """Watch a run to its end and print its report. Raises InvalidInput for one that failed."""
    place = "" if runs_dir == _RUNS else f" --runs-dir {runs_dir}"
    again = f"sparring {'resume' if ours else 'watch'} {run_id}{place}"
    if detach:
        console.print(f"Watch it with: {again}")
        return
    try:
        final = watch_run(client, run_id, console)
    except KeyboardInterrupt:
        said = "The run is stopped and nothing is lost; let it go on with" if ours else "The run goes on; watch it again with"
        console.print(f"{said}: {again}", highlight=False)
        raise
    _print_run(final, console)
    if final.status == "failed":
        raise InvalidInput(f"{final.error or 'The run failed.'} Then let it go on with `sparring resume {run_id}{place}`.")


def _print_run(status: RunStatus, console: Console) -> None:
    rounds = f"{status.completed_rounds} of {status.requested_rounds} rounds"
    console.print(f"{status.run_id}: {status.status}, {rounds}", highlight=False)
    reports = round_reports(status)
    if reports:
        console.print(rich_table(f"{status.name} ({status.known_config.algorithm.name})", reports))
        for note in notes(reports):
            console.print(note, soft_wrap=True, highlight=False)


def main() -> None:
    """Entry point of `sparring`."""
    app()
