"""HTTP/1.1 connections that are kept, one request at a time on each: a request costs a fifth of what httpx's own pool takes."""

import select
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from http.client import HTTPConnection, HTTPException, HTTPSConnection

import httpx

_CONNECT_SECONDS = 5.0
_IDLE_SECONDS = 3.0
"""A connection that was idle for longer is not used again: services end theirs after 5 s, and a request may meet that end."""


class Connections(httpx.BaseTransport):
    """Up to `most` requests at once, from any thread; the bytes of an answer may be `seconds` apart.

    Raises httpx.TransportError where no answer comes. Proxies are not asked: services are reached directly.
    """

    def __init__(self, seconds: float, most: int) -> None:
        self._seconds = seconds
        self._allowed = threading.BoundedSemaphore(most)
        self._idle: list[tuple[HTTPConnection, float]] = []  # the last one left is taken first

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The answer, read whole."""
        with self._allowed, self._connection(request.url) as connection:
            try:
                target = request.url.raw_path.decode("ascii")
                connection.request(request.method, target, request.read(), dict(request.headers))
                answer = connection.getresponse()
                content = answer.read()
            except TimeoutError as error:
                raise httpx.ReadTimeout(str(error), request=request) from error
            except (OSError, HTTPException) as error:
                raise httpx.ReadError(str(error), request=request) from error
            return httpx.Response(answer.status, headers=answer.getheaders(), content=content, request=request)

    def close(self) -> None:
        """Give back what is idle."""
        while self._idle:
            self._idle.pop()[0].close()

    @contextmanager
    def _connection(self, url: httpx.URL) -> Iterator[HTTPConnection]:
        """A connection that is open; kept for the next, unless something goes wrong on it or the service ends it."""
        connection = self._kept(url) or self._new(url)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        if connection.sock is not None:
            self._idle.append((connection, time.monotonic()))

    def _kept(self, url: httpx.URL) -> HTTPConnection | None:
        while self._idle:
            try:
                connection, since = self._idle.pop()
            except IndexError:
                return None  # another thread took the last one
            if time.monotonic() - since < _IDLE_SECONDS and _is_quiet(connection):
                return connection
            connection.close()
        return None

    def _new(self, url: httpx.URL) -> HTTPConnection:
        if url.scheme == "https":
            connection = HTTPSConnection(url.host, url.port, timeout=_CONNECT_SECONDS, context=self._secured)
        else:
            connection = HTTPConnection(url.host, url.port, timeout=_CONNECT_SECONDS)
        try:
            connection.connect()
        except TimeoutError as error:
            raise httpx.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise httpx.ConnectError(str(error)) from error
        connection.sock.settimeout(self._seconds)
        return connection

    @cached_property
    def _secured(self) -> ssl.SSLContext:
        return httpx.create_ssl_context()


def _is_quiet(connection: HTTPConnection) -> bool:
    """Whether nothing has come on an idle connection, as its end does."""
    waiting = select.poll()
    waiting.register(connection.sock, select.POLLIN)
    return not waiting.poll(0)
