"""A server whose answers never come whole: it reads one request per connection and ends it in a way of the test's choice."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

Way = Literal["reset", "silence", "half", "no json", "another shape", "gateway"]

_BODY = b'{"judge": {"name": "length", "revision": "1"}, "items": ['


def _answer(status: str, body: bytes, length: int) -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    return head.encode() + body


_ANSWERS: dict[Way, bytes] = {
    "reset": b"",
    "silence": b"",
    "half": _answer("200 OK", _BODY, 10 * len(_BODY)),
    "no json": _answer("200 OK", _BODY, len(_BODY)),
    "another shape": _answer("200 OK", b'{"items": []}', 13),
    "gateway": _answer("502 Bad Gateway", b"<html>bad gateway</html>", 24),
}


@contextmanager
def broken_wire(way: Way) -> Iterator[str]:
    """The URL of such a server, which listens until the block is left."""
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=_serve, args=(listener, way), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(20)


def _serve(listener: socket.socket, way: Way) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            _read(connection)
            connection.sendall(_ANSWERS[way])
            if way == "reset":  # a close that lingers for 0 s is a reset
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _read(connection: socket.socket) -> None:
    """One request with its whole body."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    while len(body) < int(lengths[0]):
        body += connection.recv(65536)
