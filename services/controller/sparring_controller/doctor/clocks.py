"""Clocks: whether this machine, the services and the database agree on the time."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

import httpx

from sparring_controller.doctor.examination import Finding, answer
from sparring_controller.store.database import DatabaseTrouble
from sparring_controller.store.inspection import facts
from sparring_shared.errors import SparringError

MOST_SECONDS = 3.0
_PATIENCE = 4.0

Clock = Callable[[], float | None]
"""Seconds that a clock is ahead of ours, None where it cannot be read."""


def clocks(read: Mapping[str, Clock]) -> list[Finding]:
    """All clocks, read at the same time."""
    coming = {name: answer(clock) for name, clock in read.items()}
    until = time.monotonic() + _PATIENCE
    ahead: dict[str, float] = {}
    for name, each in coming.items():
        try:
            seconds = each.result(timeout=max(0.0, until - time.monotonic()))
        except TimeoutError:
            continue
        if seconds is not None:
            ahead[name] = seconds
    return [verdict(ahead)]


def verdict(ahead: Mapping[str, float]) -> Finding:
    """What is to be said of clocks that are so many seconds ahead of ours."""
    off = {name: seconds for name, seconds in ahead.items() if abs(seconds) > MOST_SECONDS}
    if off:
        each = ", ".join(f"that of the {name} is {abs(s):.0f} s {'ahead' if s > 0 else 'behind'}" for name, s in off.items())
        says = f"Clocks differ: beside this machine's {each}; synchronise them (NTP), or times of runs and logs mislead."
        return Finding(name="clocks", level="warning", says=says)
    if not ahead:
        return Finding(name="clocks", level="ok", says="There is no other clock to compare with while the services are down.")
    says = f"This machine and {', '.join(ahead)} agree within {MOST_SECONDS:g} s."
    return Finding(name="clocks", level="ok", says=says)


def of_service(url: str) -> Clock:
    """The clock of a service, by the Date of its answers, which counts whole seconds."""

    def read() -> float | None:
        began = time.time()
        try:
            date = httpx.get(f"{url}/healthz", timeout=_PATIENCE).headers.get("date")
            theirs = None if date is None else parsedate_to_datetime(date).astimezone(UTC).timestamp()
        except (httpx.HTTPError, ValueError):
            return None
        return None if theirs is None else theirs + 0.5 - (began + time.time()) / 2

    return read


def of_database(url: str) -> Clock:
    """The clock of a database that has one of its own."""

    def read() -> float | None:
        try:
            return facts(url, _PATIENCE).clock
        except (SparringError, DatabaseTrouble):
            return None

    return read
