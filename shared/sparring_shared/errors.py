"""Errors that people read.

Each error is one sentence that says what is wrong and what to change, with the HTTP status it travels under::

    SparringError
    |-- InvalidInput          422  what was sent does not fit
    |   |-- CheckpointMismatch     a checkpoint that does not fit the running model
    |   '-- Diverged               a training whose loss is not a number any more
    |-- NotFound              404
    |-- Conflict              409  the same name already stands for something else
    |   '-- PolicyMismatch         another policy is loaded than the one asked for
    |-- TooLarge              413
    |-- Unauthorized          401
    |-- Unavailable           503  not ready, or a service behind it does not answer
    |   '-- Busy              429  the queue is full
    |-- DeadlinePassed        408  it took longer than allowed
    '-- Broken                500  the engine behind the service failed
        '-- FileDamaged            a file is not as it was written
"""

import sys
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict


class SparringError(Exception):
    """Base of all errors that reach a user; `detail` is a JSON value that helps to find the cause."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "internal"
    retry_after: int | None = None
    """Seconds after which another try makes sense, if that is known."""

    def __init_subclass__(cls, *, type: str | None = None, status: int | None = None) -> None:
        """`type` is its name on the wire; without one it travels as its base does."""
        cls.status = cls.status if status is None else status
        if type is not None:
            cls.type = type
            _BY_TYPE[type] = cls

    def __init__(self, message: str, detail: Any = None) -> None:
        super().__init__(message)
        # A text that is quoted may hold half a surrogate pair, which no JSON answer can carry, or a NUL, which no Postgres can.
        self.message = message.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
        self.detail = detail

    def body(self) -> dict[str, Any]:
        """The one JSON shape of an error: `{"error": {"type", "message", "detail"}}`."""
        return {"error": {"type": self.type, "message": self.message, "detail": self.detail}}


_BY_TYPE: dict[str, type[SparringError]] = {}


class InvalidInput(SparringError, type="invalid_input", status=422):
    """What was sent does not fit."""


class CheckpointMismatch(InvalidInput, type="checkpoint_mismatch"):
    """A checkpoint does not fit the running model."""


class Diverged(InvalidInput, type="diverged"):
    """A training whose loss, or another of its figures, is not a number any more: done again it would end the same."""


class NotFound(SparringError, type="not_found", status=404):
    """No such thing here."""


class Conflict(SparringError, type="conflict", status=409):
    """The same name already stands for something else, or the service is busy with another."""


class PolicyMismatch(Conflict, type="policy_mismatch"):
    """Another policy is loaded than the one asked for."""


class TooLarge(SparringError, type="too_large", status=413):
    """The body exceeds the service's limit."""


class Unauthorized(SparringError, type="unauthorized", status=401):
    """The bearer token is missing or wrong."""


class Unavailable(SparringError, type="unavailable", status=503):
    """Not ready yet, or a service behind this one does not answer."""


class Busy(Unavailable, type="busy", status=429):
    """More waits already than the service takes on; try again after `retry_after` seconds."""

    def __init__(self, message: str, detail: Any = None, *, retry_after: int = 1) -> None:
        super().__init__(message, detail)
        self.retry_after = retry_after


class DeadlinePassed(SparringError, type="deadline_passed", status=408):
    """It took longer than the caller or the service allows; the rest of the work was dropped."""


class Broken(SparringError, type="broken"):
    """The engine behind the service failed."""


class FileDamaged(Broken, type="file_damaged"):
    """A file is gone, or holds something else than was written; whoever wrote it can do so again."""


def error_of(error_type: str, message: str, detail: Any = None, unknown: type[SparringError] = SparringError) -> SparringError:
    """The error that `body()` of another service described; `unknown` for a type that is none of ours."""
    return _BY_TYPE.get(error_type, unknown)(message, detail)


def fail(message: str, exit_code: int = 2) -> int:
    """Say what is wrong on standard error; returns the exit code, by default 2 for wrong input."""
    print(f"sparring: {message}", file=sys.stderr)
    return exit_code


class ErrorDescription(BaseModel):
    """Inner part of an error body."""

    model_config = ConfigDict(frozen=True)

    type: str
    message: str
    detail: Any = None


class ErrorBody(BaseModel):
    """JSON body of every error answer: `{"error": {"type", "message", "detail"}}`."""

    model_config = ConfigDict(frozen=True)

    error: ErrorDescription
