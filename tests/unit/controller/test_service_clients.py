"""The controller's clients as its settings make them, against the smallest servers that show it."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pydantic import SecretStr

from sparring_controller.rounds.clients import Services
from sparring_controller.settings import ControllerSettings
from sparring_shared.errors import Unavailable

REDIS = SecretStr("redis://127.0.0.1")


def test_as_many_requests_are_under_way_as_the_settings_say() -> None:
    at_once = 120  # more than the 100 that httpx allows by default
    all_there = threading.Barrier(at_once)

    class Together(BaseHTTPRequestHandler):
        """Answers once all have asked."""

        def do_POST(self) -> None:
            all_there.wait(20)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"version": 0, "digest": "d", "path": "", "state": "asleep"}')

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        request_queue_size = at_once

    server = Server(("127.0.0.1", 0), Together)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    services = Services.at(ControllerSettings(redis_url=REDIS, generator_url=url, sampling_concurrency=at_once))
    try:
        with ThreadPoolExecutor(at_once) as pool:
            answered = list(pool.map(lambda _: services.generator.sleep(), range(at_once)))
        assert len(answered) == at_once
    finally:
        services.close()
        server.shutdown()
        server.server_close()


def test_a_service_that_says_nothing_is_unavailable_when_its_time_is_over() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        settings = ControllerSettings(
            redis_url=REDIS, generator_url=url, trainer_url=url, sampling_seconds=0.05, trainer_seconds=0.05
        )
        services = Services.at(settings)
        with pytest.raises(Unavailable, match=r"The trainer at .* does not answer \(ReadTimeout\)"):
            services.trainer.running()
        with pytest.raises(Unavailable, match=r"The generator at .* does not answer \(ReadTimeout\)"):
            services.generator.sleep()
        services.close()
