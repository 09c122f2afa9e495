"""`sparring status`: where the services listen and how the runs stand; with the services down, what the database says."""

from pathlib import Path

from rich.console import Console

from sparring_controller.api.run_status import run_status
from sparring_controller.doctor.examination import answer
from sparring_controller.local.services import LocalServices
from sparring_controller.local.settings_here import settings_here
from sparring_controller.store.database import DatabaseTrouble
from sparring_controller.store.inspection import Absent, kept_runs
from sparring_controller.terminal.controllers import find_controller
from sparring_controller.terminal.shown_runs import show_run, show_runs
from sparring_shared.errors import Unavailable
from sparring_shared.wire.controller import RunStatus

_SECONDS = 10.0


def show_status(runs_dir: Path, run_id: str | None, console: Console) -> None:
    """One run, or all without a `run_id`. Raises NotFound, and Unavailable when neither controller nor database answers."""
    local = LocalServices(runs_dir)
    client = find_controller(runs_dir)
    if client is None:
        found = _from_database(local, run_id)
        line = f"The services of {runs_dir} are down, nothing is played; start them with `sparring up`. The database says:"
    else:
        found = list(client.runs().runs) if run_id is None else [client.run(run_id)]
        endpoints = local.endpoints()
        line = endpoints.in_one_line() if endpoints else f"controller {client.url}"
    console.print(line, soft_wrap=True, highlight=False)
    if run_id is None:
        show_runs(found, console)
        return
    for status in found:
        show_run(status, console)
        if status.error:
            console.print(status.error, soft_wrap=True, highlight=False, markup=False)


def _from_database(local: LocalServices, run_id: str | None) -> list[RunStatus]:
    url, none = settings_here(local).database, f"No controller is running for {local.runs_dir}; start one with `sparring up`."
    try:
        kept = answer(lambda: kept_runs(url, run_id, _SECONDS / 2)).result(timeout=_SECONDS)
    except Absent:
        raise Unavailable(none) from None
    except Unavailable as error:
        raise Unavailable(f"{none} {error.message}") from None
    except (TimeoutError, DatabaseTrouble) as error:
        raise Unavailable(f"{none} Its database does not answer either ({type(error).__name__}).") from None
    return [run_status(found, with_rounds=run_id is not None) for found in kept]
