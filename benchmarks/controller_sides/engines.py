"""Generator, judge and trainer behind one address, as cheap as they can be: every answer is written before it is asked for.

    python engines.py PORT

Each prompt gets the same `K` answers of `TOKENS` tokens and the same preference matrix; a job has succeeded once it is put.
"""

import asyncio
import json
import sys
from typing import Any, cast

import uvloop

K = 4
TOKENS = 32
DIGEST = "x-sparring-policy"
JUDGE = {"name": "at-once", "revision": "1", "engine": "none"}
LIMITS = {
    "max_items": 256,
    "max_candidates": 32,
    "max_passes": 1 << 20,
    "max_body_bytes": 1 << 26,
    "source_max_tokens": 1024,
    "candidate_max_tokens": 512,
}


def completion(k: int) -> bytes:
    """k answers of different words, as vLLM writes them."""
    choices = [
        {
            "index": index,
            "message": {"role": "assistant", "content": f"answer {index} " + "word " * TOKENS},
            "finish_reason": "stop",
            "token_ids": list(range(TOKENS)),
            "logprobs": {"content": [{"token": " word", "logprob": -0.5, "bytes": None, "top_logprobs": []}] * TOKENS},
        }
        for index in range(k)
    ]
    return json.dumps(
        {"prompt_text": "user: a question assistant:", "prompt_token_ids": list(range(TOKENS)), "choices": choices}
    ).encode()


def ranked(k: int) -> bytes:
    """The preferences among k answers, the later the better."""
    rows = range(k)
    result = {
        "logits": [[float(i - j) for j in rows] for i in rows],
        "probs": [[0.5 + (i - j) / (4 * k) for j in rows] for i in rows],
        "win_rates": [0.5] * k,
        "scores": [float(i) for i in rows],
        "ranks": [1] * k,
        "truncated": [False] * k,
        "tokens": [TOKENS] * k,
        "prompt_truncated": False,
        "prompt_tokens": 8,
        "position_bias": 0.0,
        "passes": k * (k - 1),
        "cache_hits": 0,
        "new_tokens": 100,
    }
    return json.dumps(result).encode()


COMPLETION = {k: completion(k) for k in (1, K)}
RANKED = {k: ranked(k) for k in (2, K)}


class Engines:
    """What little they remember: the policy that is loaded, and how many requests came."""

    def __init__(self) -> None:
        self.policy: dict[str, Any] = {"version": 0, "digest": "none", "path": "", "state": "ready"}
        self.digest = b"none"
        self.asked = 0

    def answer(self, method: bytes, path: bytes, body: bytes) -> bytes:
        """The body of the answer to a request."""
        self.asked += 1
        match method, path:
            case b"POST", b"/v1/chat/completions":
                return COMPLETION[1 if b'"n":1,' in body else K]
            case b"POST", b"/v1/rank":
                return self._rank(body)
            case b"PUT", b"/v1/policy":
                self.policy = json.loads(body) | {"state": "ready"}
                self.digest = self.policy["digest"].encode()
                return json.dumps(self.policy).encode()
            case b"GET", b"/v1/policy":
                return json.dumps(self.policy).encode()
            case b"GET", b"/v1/models":
                return b'{"data": []}'
            case b"GET", b"/v1/judge":
                about = {"model": "at-once", "pinned": True, "device": "none", "note": None, "limits": LIMITS}
                return json.dumps(JUDGE | about).encode()
            case b"GET", b"/v1/jobs":
                return b'{"job_id": null}'
            case b"PUT", _:
                return self._train(path, json.loads(body))
        raise ValueError(f"{method.decode()} {path.decode()} is asked of no engine here")

    def _rank(self, body: bytes) -> bytes:
        """As many results as items came; all of a request have as many candidates as its first."""
        items = body.count(b'"candidates":')
        first = json.loads(body[body.index(b'"candidates":') + 13 : body.index(b"]", body.index(b'"candidates":')) + 1])
        return b'{"judge": ' + json.dumps(JUDGE).encode() + b', "items": [' + b",".join([RANKED[len(first)]] * items) + b"]}"

    @staticmethod
    def _train(path: bytes, request: dict[str, Any]) -> bytes:
        version = request["version"]
        checkpoint = {"version": version, "digest": f"sha256:{version}", "path": request["output"]}
        status = {"job_id": path.rpartition(b"/")[2].decode(), "state": "succeeded", "step": 1, "total_steps": 1}
        return json.dumps(status | {"metrics": {}, "eta_seconds": 0.0, "checkpoint": checkpoint, "error": None}).encode()


class Connection(asyncio.Protocol):
    """HTTP/1.1 that is kept alive, one request after another, each with a `content-length` or without a body."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._came = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody wants to ask."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Answer every request that has come whole."""
        self._came += data
        while (ends := self._came.find(b"\r\n\r\n")) >= 0:
            head = self._came[:ends]
            length = head.lower().find(b"content-length: ")
            size = 0 if length < 0 else int(head[length + 16 :].split(b"\r\n", 1)[0])
            if len(self._came) < ends + 4 + size:
                return
            body, self._came = self._came[ends + 4 : ends + 4 + size], self._came[ends + 4 + size :]
            method, path, _ = head.split(b" ", 2)
            answer = self._engines.answer(method, path, body)
            self._transport.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n%s: %s\r\ncontent-length: %d\r\n\r\n%s"
                % (DIGEST.encode(), self._engines.digest, len(answer), answer)
            )


async def serve(port: int) -> None:
    """Until it is ended."""
    engines = Engines()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(engines), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
