"""A chat endpoint that answers as a test wants: a real HTTP server below the judge's real client."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Reply(NamedTuple):
    """What goes back: a status, a body and headers."""

    status: int
    body: Any
    headers: dict[str, str] = {}  # noqa: RUF012 a NamedTuple's default, never changed


@dataclass
class Endpoint:
    """What came in, in order."""

    url: str
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)


def completion(text: str, likely: dict[str, float] | None = None) -> Reply:
    """A completion of one token, with log-probs if given."""
    tops = [{"token": token, "logprob": logprob, "bytes": None} for token, logprob in (likely or {}).items()]
    content = [{"token": text, "logprob": -0.1, "bytes": None, "top_logprobs": tops}]
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
        "logprobs": {"content": content} if likely is not None else None,
    }
    usage = {"prompt_tokens": 70, "completion_tokens": 2, "total_tokens": 72}
    return Reply(200, {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage})


def refusal(status: int, message: str, **headers: str) -> Reply:
    """An error in OpenAI's shape."""
    return Reply(status, {"error": {"message": message, "type": "error", "code": None}}, headers)


_NO_SUCH_ROUTE = refusal(404, "There is no such route.")


@contextmanager
def endpoint(answer: Callable[[int, dict[str, Any]], Reply], model: Reply = _NO_SUCH_ROUTE) -> Iterator[Endpoint]:
    """A server whose n-th request (from 0) with that body is answered by `answer(n, body)`, questions about its model by
    `model`."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with lock:
                number = len(seen.bodies)
                seen.bodies.append(body)
                seen.keys.append(self.headers["authorization"])
            self._reply(answer(number, body))

        def do_GET(self) -> None:
            self._reply(model)

        def _reply(self, reply: Reply) -> None:
            data = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            for name, value in {"content-type": "application/json", **reply.headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    seen = Endpoint(f"http://127.0.0.1:{server.server_port}/v1")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
