"""One way to call a Sparring service: JSON in, record out, errors as `SparringError`."""

from typing import TypeVar

import httpx
from pydantic import BaseModel, SecretStr, ValidationError

from sparring_shared.connections import Connections
from sparring_shared.errors import (
    Broken,
    Busy,
    DeadlinePassed,
    ErrorBody,
    InvalidInput,
    SparringError,
    TooLarge,
    Unavailable,
    error_of,
)

M = TypeVar("M", bound=BaseModel)

_BY_STATUS: dict[int, type[SparringError]] = {
    400: InvalidInput,
    408: DeadlinePassed,
    413: TooLarge,
    429: Busy,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}
"""What a status means that does not come with our body, as from vLLM or from whatever stands before a service."""


def raise_for_error(response: httpx.Response) -> None:
    """Raise the error that the answer describes, if it is one."""
    if response.is_success:
        return
    try:
        described = ErrorBody.model_validate_json(response.content).error
    except ValidationError:
        kind = _BY_STATUS.get(response.status_code, Broken)
        raise kind(f"{response.request.url} answered {response.status_code}: {response.text[:500]}") from None
    unknown = _BY_STATUS.get(response.status_code, SparringError)
    raise error_of(described.type, described.message, described.detail, unknown)


class ServiceClient:
    """Calls one service. Raises Unavailable when it does not answer, else the error it answered with.

    With a `token` each call brings it as a bearer token. An answer has to come in `timeout` seconds, and up to `connections`
    calls are under way at once.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        timeout: float = 600.0,
        connections: int = 100,
        token: SecretStr | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.name = name
        self.url = url
        self._base = url.rstrip("/")
        bearer = {} if token is None else {"authorization": f"Bearer {token.get_secret_value()}"}
        self._headers = {"content-type": "application/json", "accept": "application/json", **bearer}
        self._transport = transport or Connections(timeout, connections)

    def call(
        self, method: str, path: str, answer: type[M], body: BaseModel | None = None, headers: dict[str, str] | None = None
    ) -> M:
        """Send `body` as JSON and read the answer as `answer`. Raises Broken for an answer that is something else."""
        response = self.raw(method, path, body, headers)
        try:
            return answer.model_validate_json(response.content)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            place = ".".join(str(part) for part in problem["loc"])
            raise Broken(
                f"{response.request.url} answered what cannot be read: {place and place + ': '}{problem['msg']}."
            ) from None

    def raw(
        self, method: str, path: str, body: BaseModel | None = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """Send `body` as JSON; the answer as it came, unless it is an error."""
        content = None if body is None else body.model_dump_json()
        request = httpx.Request(method, self._base + path, content=content, headers=self._headers | (headers or {}))
        try:
            response = self._transport.handle_request(request)
        except httpx.TransportError as error:
            raise self.silent(error) from error
        response.request = request
        raise_for_error(response)
        return response

    def silent(self, error: Exception) -> SparringError:
        """The error for a service that did not answer."""
        return Unavailable(f"The {self.name} at {self.url} does not answer ({type(error).__name__}); is it running?")

    def close(self) -> None:
        """Give the connections back."""
        self._transport.close()
