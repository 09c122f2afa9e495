"""Checks that are made at the same time, each for so long and no longer."""

import json
import re
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Thread
from typing import Literal, TypeVar

from sparring_shared.errors import SparringError
from sparring_shared.records import Record

T = TypeVar("T")
Level = Literal["ok", "warning", "wrong"]

_IN_AN_ADDRESS = re.compile(r"(?<=://)[^/@\s]*@")
_IN_A_QUERY = re.compile(r"(?i)((?:password|passwd|token|secret|key)=)[^&\s;,)]+")


class Finding(Record):
    """What was looked at and how it stands: `says` is what is, and unless that is well what to change.

    Example: `Finding(name="disk", level="ok", says="74.3 GiB are free.")`. `wrong` keeps a run from being played,
    `warning` may.
    """

    name: str
    level: Level
    says: str


@dataclass(frozen=True)
class Check:
    """A question that starts and changes nothing, and for how many seconds its answer is waited for."""

    name: str
    look: Callable[[], Sequence[Finding]]
    seconds: float = 10.0


def examine(checks: Iterable[Check]) -> list[Finding]:
    """The findings of all checks, in their order; one that raises or takes too long is wrong. No password is in them."""
    asked = [(check, answer(check.look), time.monotonic() + check.seconds) for check in checks]
    found = (finding for check, coming, until in asked for finding in _findings(check, coming, until))
    return [finding.model_copy(update={"says": redacted(finding.says)}) for finding in found]


def as_json(findings: Sequence[Finding]) -> str:
    """All findings as one JSON value, for machines."""
    return json.dumps({"findings": [finding.model_dump() for finding in findings]}, indent=2, ensure_ascii=False)


def answer(question: Callable[[], T]) -> "Future[T]":
    """The answer of a question that is asked in a thread of its own, which keeps nothing from ending."""
    coming: Future[T] = Future()

    def ask() -> None:
        try:
            coming.set_result(question())
        except BaseException as error:  # noqa: BLE001  # whoever waits for the answer gets it
            coming.set_exception(error)

    Thread(target=ask, daemon=True).start()
    return coming


def redacted(text: str) -> str:
    """The text without what stands before the host of an address, and without passwords and tokens in its query."""
    return _IN_A_QUERY.sub(r"\1***", _IN_AN_ADDRESS.sub("***@", text))


def _findings(check: Check, coming: "Future[Sequence[Finding]]", until: float) -> Sequence[Finding]:
    try:
        return coming.result(timeout=max(0.0, until - time.monotonic()))
    except TimeoutError:
        says = f"There was no answer in {check.seconds:g} s: what is asked here hangs; see to it, or restart it."
    except SparringError as error:
        says = error.message
    except Exception as error:  # noqa: BLE001  # one check that breaks must not hide the others
        says = f"This could not be looked at ({type(error).__name__}: {error}); see to it, or report it as a bug of Sparring."
    return [Finding(name=check.name, level="wrong", says=says)]
