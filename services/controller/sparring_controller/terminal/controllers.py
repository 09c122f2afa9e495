"""Which controller a command talks to: one that runs already, or one that is started for the command."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from sparring_controller.local import foreground
from sparring_controller.local.services import SERVICES, LocalServices
from sparring_controller.terminal.runs_client import RunsClient
from sparring_shared.errors import SparringError, Unavailable
from sparring_shared.run_config import JudgeConfig


@dataclass(frozen=True)
class Reached:
    """A controller that answers; `ours`: its services end with this command."""

    client: RunsClient
    ours: bool = False


def find_controller(runs_dir: Path) -> RunsClient | None:
    """The controller that `sparring up` started for this folder, else one at its usual address; None if neither answers."""
    started = LocalServices(runs_dir).endpoints()
    host, port = (os.environ.get(f"SPARRING_CONTROLLER_{part}") for part in ("HOST", "PORT"))
    client = RunsClient(started.controller if started else f"http://{host or '127.0.0.1'}:{port or SERVICES['controller']}")
    try:
        client.runs()
    except (SparringError, ValueError):  # nothing there, or something that is not a controller
        return None
    return client


def running_controller(runs_dir: Path) -> Reached:
    """One that runs already. Raises Unavailable if none answers."""
    found = find_controller(runs_dir)
    if found is None:
        raise Unavailable(f"No controller is running for {runs_dir}; start one with `sparring up`.")
    return Reached(found)


@contextmanager
def controller_to_play(
    runs_dir: Path, model: str, judge: JudgeConfig, console: Console, *, free_ports: bool, detach: bool
) -> Iterator[Reached]:
    """One that runs already, else one whose services are started: to stay with `detach`, else for the duration of the block."""
    local = LocalServices(runs_dir)
    found = find_controller(runs_dir)
    if found is not None:
        console.print(f"Using the services of the controller at {found.url}.", highlight=False)
        yield Reached(found)
    elif detach:
        endpoints = foreground.start(local, console, model, judge, free_ports=free_ports, owned=False)
        yield Reached(RunsClient(endpoints.controller))
    else:
        with foreground.services(local, console, model, judge, free_ports=free_ports) as endpoints:
            yield Reached(RunsClient(endpoints.controller), ours=True)
