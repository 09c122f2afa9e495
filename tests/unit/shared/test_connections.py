"""Connections that are kept, against a small real server that counts them."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from sparring_shared.connections import Connections


class Counting(ThreadingHTTPServer):
    """Says back what it was sent; `asked` counts connections, `sockets` are theirs."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Echo)
        self.asked = 0
        self.sockets: list[socket.socket] = []
        self.last = False
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Counting  # pyright: ignore[reportIncompatibleVariableOverride]

    def setup(self) -> None:
        super().setup()
        self.server.asked += 1
        self.server.sockets.append(self.request)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(201)
        self.send_header("content-length", str(len(body)))
        self.send_header("x-said", self.headers["x-say"])
        if self.server.last:
            self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Counting]:
    made = Counting()
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def connections() -> Iterator[Connections]:
    made = Connections(seconds=20, most=4)
    yield made
    made.close()


def ask(connections: Connections, server: Counting, said: str) -> tuple[int, str, str]:
    request = httpx.Request("POST", f"{server.url}/x?y=1", content=said, headers={"x-say": said})
    answer = connections.handle_request(request)
    return answer.status_code, answer.text, answer.headers["x-said"]


def test_one_connection_serves_one_request_after_another(connections: Connections, server: Counting) -> None:
    assert [ask(connections, server, said) for said in ("a", "bc")] == [(201, "a", "a"), (201, "bc", "bc")]
    assert server.asked == 1


def test_a_connection_that_the_service_ended_is_not_used_again(connections: Connections, server: Counting) -> None:
    ask(connections, server, "a")
    server.sockets[0].shutdown(socket.SHUT_RDWR)
    assert ask(connections, server, "b") == (201, "b", "b")
    server.last = True
    assert ask(connections, server, "c") == (201, "c", "c")
    assert ask(connections, server, "d") == (201, "d", "d")
    assert server.asked == 3


def test_no_more_connections_than_allowed_carry_requests_of_many_threads(connections: Connections, server: Counting) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda number: ask(connections, server, str(number)), range(200)))
    assert answers == [(201, str(number), str(number)) for number in range(200)]
    assert server.asked <= 4


def test_an_answer_that_is_broken_off_is_a_transport_error(connections: Connections) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"

        def break_off() -> None:
            taken, _ = silent.accept()
            taken.recv(1000)
            taken.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
            taken.close()

        thread = threading.Thread(target=break_off)
        thread.start()
        with pytest.raises(httpx.ReadError, match="4 bytes read, 6 more expected"):
            connections.handle_request(httpx.Request("GET", url))
        thread.join()
