"""The generator whose engine dies: what waits is answered, and the process ends with an exit code of its own."""

import signal
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event

import httpx
import psutil
import pytest
from generator_server import Checkpoints, Server, group_of, until

pytestmark = pytest.mark.timeout(600)  # a busy machine starts vLLM slowly


def test_an_engine_killed_in_the_middle_of_a_load(server: Server, checkpoints: Checkpoints) -> None:
    (engine,) = (child for child in psutil.Process(server.process.pid).children() if "EngineCore" in child.cmdline()[0])
    loaded = server.http.get("/v1/policy").json()["digest"]
    other = next(each.load(9) for each in (checkpoints.base, checkpoints.plain) if each.load(9).digest != loaded)
    with ThreadPoolExecutor(2) as pool:
        engine.send_signal(signal.SIGSTOP)  # so that the load cannot end before the kill
        load = pool.submit(server.http.put, "/v1/policy", json=other.model_dump())
        until(lambda: server.http.get("/v1/policy").json()["state"] == "loading")
        sample, sent = waiting_sample(server, pool)
        assert sent.wait(60)
        assert server.http.get("/healthz").is_success  # what came before has been taken up
        engine.kill()
        assert unavailable(load.result()) == "vLLM's engine died, so the generator ends; ask again once it was started anew."
        assert unavailable(sample.result()) == "Policy version 9 did not load; PUT /v1/policy with a good checkpoint."
    assert server.process.wait(60) == 70
    until(lambda: group_of(server.process.pid) == [])
    said = [line for line in server.log.read_text().splitlines() if line.startswith("sparring: ")]
    died = "sparring: vLLM's engine died, and the generator with it; its log above says why. It can be started again."
    assert said == [died]


def waiting_sample(server: Server, pool: ThreadPoolExecutor) -> tuple[Future[httpx.Response], Event]:
    """A request that the gate holds back, and when it was sent."""
    sent = Event()

    def note(event: str, _: object) -> None:
        if event == "http11.send_request_body.complete":
            sent.set()

    body = {"model": "policy", "prompt": "zinc", "max_tokens": 1}
    return pool.submit(server.http.post, "/v1/completions", json=body, extensions={"trace": note}), sent


def unavailable(answer: httpx.Response) -> str:
    """The message of a 503."""
    assert (answer.status_code, answer.json()["error"]["type"]) == (503, "unavailable"), answer.text
    return answer.json()["error"]["message"]
