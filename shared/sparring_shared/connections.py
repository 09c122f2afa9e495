"""Connections that are kept, by urllib3: with 32 threads a request takes half of what httpx's pool takes of a processor."""

import httpx
import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ReadTimeoutError

_CONNECT_SECONDS = 5.0


class Connections(httpx.BaseTransport):
    """Up to `most` requests at once, from any thread; the bytes of an answer may be `seconds` apart.

    Raises httpx.TransportError where no answer comes; nothing is asked twice. Proxies are not asked: services are reached
    directly.
    """

    def __init__(self, seconds: float, most: int) -> None:
        limits = urllib3.Timeout(connect=_CONNECT_SECONDS, read=seconds)
        secured = httpx.create_ssl_context()
        self._pool = urllib3.PoolManager(maxsize=most, block=True, retries=False, timeout=limits, ssl_context=secured)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The answer, read whole."""
        headers = dict(request.headers)
        try:
            answer = self._pool.urlopen(
                request.method, str(request.url), body=request.read(), headers=headers, redirect=False, decode_content=False
            )
        except (ConnectTimeoutError, NewConnectionError) as error:
            raise httpx.ConnectError(str(error), request=request) from error
        except ReadTimeoutError as error:
            raise httpx.ReadTimeout(str(error), request=request) from error
        except HTTPError as error:
            raise httpx.ReadError(str(error), request=request) from error
        return httpx.Response(answer.status, headers=list(answer.headers.items()), content=answer.data, request=request)

    def close(self) -> None:
        """Give back what is idle."""
        self._pool.clear()
