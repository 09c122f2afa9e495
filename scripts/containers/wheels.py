"""A local folder of wheels, offered to builds by HTTP on the address that containers know this machine by."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from containers.commands import told
from sparring_shared.http import port_is_free

_PORT = 38765  # the same each time if it is free: the address is part of what a builder's cache is keyed by
_GATEWAY = "{{(index .IPAM.Config 0).Gateway}}"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def offered_wheels() -> Iterator[dict[str, str]]:
    """Variables for compose.build.yml: where pip's own folder of wheels is reached, if it has one."""
    folder = Path(os.environ.get("PIP_FIND_LINKS", ""))
    gateway = (told(["docker", "network", "inspect", "bridge", "--format", _GATEWAY]) or "").strip()
    if not os.environ.get("PIP_FIND_LINKS") or not folder.is_dir() or not gateway:
        yield {}
        return
    port = _PORT if port_is_free(gateway, _PORT) else 0
    with ThreadingHTTPServer((gateway, port), partial(_Quiet, directory=str(folder))) as server:
        Thread(target=server.serve_forever, name="wheels", daemon=True).start()
        try:
            yield {"SPARRING_BUILD_FIND_LINKS": f"http://{gateway}:{server.server_port}/"}
        finally:
            server.shutdown()
