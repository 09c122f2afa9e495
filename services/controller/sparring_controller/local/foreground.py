"""Services that live as long as one command: started, awaited, and ended whatever happens to the command."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console

from sparring_controller.local.services import Awaited, Endpoints, LocalServices
from sparring_shared.errors import Broken
from sparring_shared.run_config import JudgeConfig

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM and a closed terminal end a command as Ctrl-C does: by KeyboardInterrupt."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Further signals wait for nothing: what is being ended is ended."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def start(
    local: LocalServices, console: Console, model: str, judge: JudgeConfig, *, free_ports: bool = False, owned: bool = True
) -> Endpoints:
    """Start the services and show what is still awaited until all are ready; on any error or Ctrl-C they are ended again."""
    if local.end_abandoned():
        console.print("Ended the services that an earlier command left behind when it was killed.")
    endpoints = local.start(model, judge, free_ports=free_ports, owned=owned)
    try:
        _await_ready(local, endpoints, console)
    except BaseException:
        end(local, console)
        raise
    console.print(f"Sparring is up: {endpoints.in_one_line()}", soft_wrap=True, highlight=False)
    return endpoints


def end(local: LocalServices, console: Console) -> None:
    """End the services, undisturbed by further signals."""
    with _undisturbed():
        console.print("Ending the services ...")
        local.end()


@contextmanager
def services(
    local: LocalServices, console: Console, model: str, judge: JudgeConfig, *, free_ports: bool = False
) -> Iterator[Endpoints]:
    """Services for the duration of a block."""
    endpoints = start(local, console, model, judge, free_ports=free_ports)
    try:
        yield endpoints
    finally:
        end(local, console)


def stay(local: LocalServices) -> None:
    """Return when the services are ended from elsewhere. Raises Broken, all being ended, if they lost their supervisor."""
    while not local.processes.ended_within(seconds=1):
        pass
    if local.end():
        raise Broken("The supervisor of the services was killed, so all were ended; start them again with `sparring up`.")


def _await_ready(local: LocalServices, endpoints: Endpoints, console: Console) -> None:
    if not console.is_terminal:
        told: set[str] = set()

        def tell(awaited: Awaited) -> None:
            if awaited and set(awaited) != told:
                told.clear()
                told.update(awaited)
                console.print(f"Waiting for {', '.join(awaited)} ...")

        local.await_ready(endpoints, tell)
        return
    with console.status("Starting ...") as status:
        local.await_ready(endpoints, lambda awaited: status.update(_waiting(awaited)))


def _waiting(awaited: Awaited) -> str:
    return "Waiting for " + ", ".join(f"{name} ({reason.rstrip('.')})" for name, reason in awaited.items())
