"""A run from now to its end: watched, then its report."""

from rich.console import Console

from sparring_controller.terminal.controllers import Reached
from sparring_controller.terminal.shown_runs import show_run
from sparring_controller.terminal.watching import watch
from sparring_shared.errors import InvalidInput


def follow(found: Reached, run_id: str, place: str, console: Console, *, detach: bool) -> None:
    """Watch a run to its end and print its report; with `detach` only say how.

    `place` is the option that names the runs folder, with a space before it. Raises InvalidInput for a run that failed.
    """
    again = f"sparring {'resume' if found.ours else 'watch'} {run_id}{place}"
    if detach:
        console.print(f"Watch it with: {again}")
        return
    try:
        final = watch(found.client, run_id, console)
    except KeyboardInterrupt:
        said = (
            "The run is stopped and nothing is lost; let it go on with"
            if found.ours
            else "The run goes on; watch it again with"
        )
        console.print(f"{said}: {again}", highlight=False)
        raise
    show_run(final, console)
    if final.status == "failed":
        raise InvalidInput(f"{final.error or 'The run failed.'} Then let it go on with `sparring resume {run_id}{place}`.")
