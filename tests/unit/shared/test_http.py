"""The HTTP base, as a real ASGI application."""

import socket

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
