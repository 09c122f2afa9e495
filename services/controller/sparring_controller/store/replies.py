"""Answers already given under an `Idempotency-Key`: the same request gets the same answer, and has its effect once."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError
from sqlalchemy import insert, select

from sparring_controller.store.clock import Now
from sparring_controller.store.database import AlreadyThere, Connection, Database
from sparring_controller.store.tables import replies
from sparring_shared.errors import Conflict
from sparring_shared.records import Record

M = TypeVar("M", bound=Record)


@dataclass(frozen=True)
class Request:
    """A POST that may come again: where to, under which key (None: never again), with which body."""

    scope: str
    key: str | None
    body: Any = None

    @property
    def digest(self) -> str:
        """sha256 of the JSON body, whatever the order of its keys."""
        return hashlib.sha256(json.dumps(self.body, sort_keys=True).encode()).hexdigest()


def find(connection: Connection, request: Request, kind: type[M]) -> M | None:
    """The answer that was given to this request. Raises Conflict if its key stood for another body."""
    if request.key is None:
        return None
    query = select(replies).where(replies.c.scope == request.scope, replies.c.idempotency_key == request.key)
    found = connection.execute(query).mappings().one_or_none()
    if found is None:
        return None
    if found["request"] != request.digest:
        raise Conflict(f"The Idempotency-Key {request.key} was used for another body of {request.scope}; choose a new key.")
    try:
        return kind.model_validate_json(found["answer"])
    except ValidationError:
        raise Conflict(f"The Idempotency-Key {request.key} was answered by another Sparring; choose a new key.") from None


def once(database: Database, request: Request, kind: type[M], effect: Callable[[Connection], M]) -> M:
    """Have the effect and keep its answer in one transaction; or only the answer, if it was given before."""
    try:
        return _once(database, request, kind, effect)
    except AlreadyThere:
        # Another process has just answered the same request.
        return _once(database, request, kind, effect)


def _once(database: Database, request: Request, kind: type[M], effect: Callable[[Connection], M]) -> M:
    with database.writing() as connection:
        known = find(connection, request, kind)
        if known is not None:
            return known
        answer = effect(connection)
        if request.key is not None:
            row = {"scope": request.scope, "idempotency_key": request.key, "request": request.digest}
            values = row | {"answer": answer.model_dump_json(), "created_at": Now()}
            connection.execute(insert(replies).values(**values))
        return answer
