"""A hub with data sets in memory: as much of its API as the hub's client asks for to list and to download files."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

Datasets = dict[str, dict[str, bytes]]
"""Files by data set, e.g. `{"org/questions": {"README.md": b"..."}}`."""


@contextmanager
def hub(datasets: Datasets) -> Iterator[tuple[str, list[str]]]:
    """The address of a hub, and the paths of the files that were downloaded from it so far."""
    downloaded: list[str] = []

    class Answers(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, *, with_body: bool) -> None:
            parts = unquote(urlsplit(self.path).path).strip("/").split("/")
            if parts[:2] == ["api", "datasets"] and "/".join(parts[2:4]) in datasets:
                self._json(_told(datasets, parts))
            elif parts[0] == "datasets" and parts[3] == "resolve" and "/".join(parts[5:]) in datasets["/".join(parts[1:3])]:
                content = datasets["/".join(parts[1:3])]["/".join(parts[5:])]
                downloaded.extend([unquote(self.path)] if with_body else [])
                self._send(200, content if with_body else b"", len(content), hashlib.sha256(content).hexdigest())
            else:
                self._send(404, b"", 0, "none")

        def _json(self, value: object) -> None:
            body = json.dumps(value).encode()
            self._send(200, body, len(body), "none")

        def _send(self, status: int, body: bytes, length: int, tag: str) -> None:
            self.send_response(status)
            commit = "0" * 40
            for name, text in {"ETag": f'"{tag}"', "X-Repo-Commit": commit, "Content-Length": str(length)}.items():
                self.send_header(name, text)
            if status == 404:
                self.send_header("X-Error-Code", "RepoNotFound")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", downloaded
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _told(datasets: Datasets, parts: list[str]) -> object:
    """What the API says of a data set at a revision, or of the tree of its files."""
    name = "/".join(parts[2:4])
    files = datasets[name]
    if "tree" in parts:
        return [{"type": "file", "path": path, "size": len(content), "oid": "1" * 40} for path, content in files.items()]
    return {"id": name, "sha": "0" * 40, "siblings": [{"rfilename": path} for path in files]}
