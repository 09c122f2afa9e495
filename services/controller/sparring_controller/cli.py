"""The command `sparring`: start the services, play a run, look at it, end them."""

import functools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console

from sparring_controller.demo.play import DemoOptions, play_demo
from sparring_controller.local import foreground
from sparring_controller.local.services import DEMO_JUDGE, DEMO_POLICY, LocalServices, require_model
from sparring_controller.rounds.prompts.run_prompts import read_prompts
from sparring_controller.terminal.controllers import controller_to_play, running_controller
from sparring_controller.terminal.following import follow
from sparring_controller.terminal.prompt_tables import examples, left_out, prompts_table
from sparring_controller.terminal.run_folder import judge_of_run, places_of, with_judge
from sparring_shared.errors import SparringError, fail
from sparring_shared.run_config import JudgeConfig, read_run_config
from sparring_shared.wire.controller import ResumeRequest

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


def _place(runs_dir: Path) -> str:
    """The option that names a runs folder, if it has to be named."""
    return "" if runs_dir == _RUNS else f" --runs-dir {runs_dir}"


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
    console = _console()
    with controller_to_play(
        runs_dir, wanted.policy.model, wanted.judge, console, free_ports=free_ports, detach=detach
    ) as found:
        status = found.client.create(wanted)
        found.client.play(status.run_id, wanted.rounds)
        console.print(f"Run {status.run_id} plays {wanted.rounds} rounds.", highlight=False)
        follow(found, status.run_id, _place(runs_dir), console, detach=detach)


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
    console = _console()
    with controller_to_play(runs_dir, model, chosen, console, free_ports=free_ports, detach=detach) as found:
        found.client.resume(run_id, wanted)
        follow(found, run_id, _place(runs_dir), console, detach=detach)


@app.command()
@_in_sentences
def watch(run_id: RunId, runs_dir: RunsDir = _RUNS) -> None:
    """Show a run with progress bars until it has nothing more to do, then its report."""
    follow(running_controller(runs_dir), run_id, _place(runs_dir), _console(), detach=False)


@app.command()
@_in_sentences
def status(
    run_id: Annotated[str | None, typer.Argument(help="One run; all of them without it.")] = None, runs_dir: RunsDir = _RUNS
) -> None:
    """Say where the services listen and how the runs stand; with the services down, what the database says of the runs."""
    # Imported only here: SQLAlchemy comes with it, and no other command needs that.
    from sparring_controller.terminal.status import show_status

    show_status(runs_dir, run_id, _console())


@app.command()
@_in_sentences
def doctor(
    config: Annotated[Path | None, typer.Argument(help="The run config that shall be played, if one shall.")] = None,
    model: Model = DEMO_POLICY,
    judge: JudgeOfRun = None,
    runs_dir: RunsDir = _RUNS,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON value, for machines.")] = False,
) -> None:
    """Say what keeps Sparring from working here, and what to change; starts nothing. Ends with 1 if anything is wrong."""
    # As above.
    from sparring_controller.terminal.examining import examine_here, show_findings

    run = None if config is None else with_judge(read_run_config(config), judge, config)
    named = JudgeConfig(model=judge or DEMO_JUDGE) if run is None else run.judge
    findings = examine_here(runs_dir, model if run is None else run.policy.model, named, run)
    raise typer.Exit(show_findings(findings, _console(), as_json=as_json))


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


def main() -> None:
    """Entry point of `sparring`."""
    app()
