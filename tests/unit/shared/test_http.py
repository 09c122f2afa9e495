"""The HTTP base, as a real ASGI application."""

import asyncio
import socket
import threading

import httpx
import pytest
from fastapi.testclient import TestClient

from sparring_shared.client import ServiceClient
from sparring_shared.errors import Broken, Busy, Conflict, DeadlinePassed, PolicyMismatch, SparringError, TooLarge, Unavailable
from sparring_shared.http import create_service, port_is_free
from sparring_shared.records import PolicyRef


def client(missing: str | None = None) -> TestClient:
    app = create_service("test", lambda: missing, max_body_bytes=1000)

    @app.post("/v1/policy")
    async def policy(body: PolicyRef) -> PolicyRef:
        if body.version == 9:
            raise PolicyMismatch("Version 9 is not loaded; put it first.", {"loaded": 1})
        return body

    return TestClient(app)


def test_health_metrics_and_docs() -> None:
    c = client()
    assert c.get("/healthz").json() == {"status": "ok"}
    assert c.get("/readyz").status_code == 200
    assert "http_requests_total" in c.get("/metrics").text
    assert c.get("/docs").status_code == 200


def test_not_ready_is_503_with_the_reason() -> None:
    answer = client("The model is still loading.").get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["error"] == {"type": "unavailable", "message": "The model is still loading.", "detail": None}


def test_a_readiness_that_hangs_keeps_nobody_else_waiting() -> None:
    released, asked = threading.Event(), threading.Semaphore(0)

    def hang() -> str | None:
        asked.release()
        return None if released.wait(20) else "Nobody came."

    app = create_service("test", hang, ready_seconds=0.5)

    @app.get("/v1/policy")
    def in_a_thread() -> PolicyRef:
        return PolicyRef(version=1, digest="d")

    async def probe() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as http:
            # More than there are threads for the routes.
            probes = [asyncio.create_task(http.get("/readyz")) for _ in range(60)]
            others = [await http.get("/healthz"), await http.get("/v1/policy")]
            assert [answer.status_code for answer in others] == [200, 200]
            hanging = [answer.json()["error"]["message"] for answer in await asyncio.gather(*probes)]
            assert hanging == ["What has to be ready has not answered for 0.5 s."] * 60
            released.set()
            while (ready := await http.get("/readyz")).status_code != 200:
                await asyncio.sleep(0.01)
            return [ready]

    assert asyncio.run(probe())[0].json() == {"status": "ready"}
    assert asked.acquire(blocking=False)
    assert not asked.acquire(blocking=False), "one thread asked for all of them"


def test_a_readiness_that_fails_is_an_error_of_its_request_alone() -> None:
    answers: list[str | Exception | None] = [RuntimeError("a fault"), None]

    def readiness() -> str | None:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with TestClient(create_service("test", readiness), raise_server_exceptions=False) as http:
        assert [http.get("/readyz").status_code for _ in range(2)] == [500, 200]


def test_errors_have_one_shape() -> None:
    c = client()
    assert c.post("/v1/policy", json={"version": 9, "digest": "x"}).json() == {
        "error": {"type": "policy_mismatch", "message": "Version 9 is not loaded; put it first.", "detail": {"loaded": 1}}
    }
    bad = c.post("/v1/policy", json={"version": -1, "digest": "x", "more": 1})
    assert bad.status_code == 422
    assert bad.json()["error"]["message"] == (
        "version: Input should be greater than or equal to 0 (it is -1); more: no such key; remove it or correct its name."
    )
    assert c.post("/v1/policy", content=b"{").json()["error"]["type"] == "invalid_input"
    assert c.get("/nowhere").json()["error"]["type"] == "not_found"
    assert c.get("/v1/policy").status_code == 405


def test_a_body_over_the_limit_is_413() -> None:
    answer = client().post("/v1/policy", json={"version": 1, "digest": "x" * 2000})
    assert (answer.status_code, answer.json()["error"]["type"]) == (413, "too_large")


def test_the_client_raises_the_error_that_was_sent() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(409, json=PolicyMismatch("Another policy.", 3).body())

    service = ServiceClient("generator", "http://x", transport=httpx.MockTransport(answer))
    with pytest.raises(PolicyMismatch, match="Another policy") as caught:
        service.call("GET", "/v1/policy", PolicyRef)
    assert caught.value.detail == 3
    assert isinstance(caught.value, Conflict)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (408, DeadlinePassed),
        (413, TooLarge),
        (429, Busy),
        (502, Unavailable),
        (503, Unavailable),
        (504, Unavailable),
        (500, Broken),
    ],
)
def test_what_a_proxy_answers_in_words_of_its_own_is_understood(status: int, kind: type[SparringError]) -> None:
    proxy = httpx.MockTransport(lambda _: httpx.Response(status, text="<html>no</html>"))
    with pytest.raises(SparringError, match=f"http://x/v1/judge answered {status}: <html>no</html>") as caught:
        ServiceClient("judge", "http://x", transport=proxy).call("GET", "/v1/judge", PolicyRef)
    assert type(caught.value) is kind


def test_an_answer_that_cannot_be_read_is_broken() -> None:
    other = httpx.MockTransport(lambda _: httpx.Response(200, json={"version": "x", "digest": "d"}))
    with pytest.raises(
        Broken, match=r"http://x/v1/policy answered what cannot be read: version: Input should be a valid integer"
    ):
        ServiceClient("generator", "http://x", transport=other).call("GET", "/v1/policy", PolicyRef)


def test_a_silent_service_is_named() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        assert not port_is_free("127.0.0.1", port)
    with pytest.raises(Unavailable, match=f"The judge at http://127.0.0.1:{port} does not answer"):
        ServiceClient("judge", f"http://127.0.0.1:{port}").call("GET", "/v1/judge", PolicyRef)


def test_an_error_that_quotes_what_no_answer_or_database_can_hold_writes_it_out() -> None:
    assert SparringError("It says a\0b\ud800.").message == "It says a\\x00b\\ud800."
