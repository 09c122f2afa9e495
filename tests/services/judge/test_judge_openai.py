"""A chat endpoint as judge, and endpoints that fail; a real vLLM as endpoint is asked in tests/services/generator."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ports import free_port
from prometheus_client import REGISTRY
from scripted_endpoint import Reply, completion, endpoint, refusal

from sparring_judge.engines.by_name import load_engine
from sparring_judge.engines.chat_endpoint.endpoint import refused_options
from sparring_judge.engines.chat_endpoint.question import DEFAULT_TEMPLATE, fill
from sparring_judge.engines.engine import judge_tasks
from sparring_judge.settings import JudgeSettings
from sparring_judge.tasks.task import Task, games
from sparring_judge.tasks.units import Judgement, Unit, Value
from sparring_shared.errors import Broken, InvalidInput, SparringError, Unavailable

PAIR = Task("2 + 2?", ("4", "5"), games(2))


def settings(url: str, **changes: Any) -> JudgeSettings:
    return JudgeSettings(engine="openai", model="m", url=url, **changes)


def judged(tasks: Sequence[Task], chosen: JudgeSettings) -> list[Judgement | SparringError]:
    engine = load_engine(chosen)
    return judge_tasks(engine.reader, engine.load(), tasks)


def only(found: list[Judgement | SparringError]) -> list[list[float]]:
    assert isinstance(found[0], Judgement), found[0]
    return found[0].logits.tolist()


def values(units: int, chosen: JudgeSettings) -> tuple[Value, ...]:
    return load_engine(chosen).load().compute([Unit(bytes([n]), 1, f"question {n}") for n in range(units)]).values


def counted(name: str) -> float:
    return REGISTRY.get_sample_value(f"sparring_judge_endpoint_{name}_total") or 0.0


def question(body: dict[str, Any]) -> str:
    return body["messages"][0]["content"]


def first_shown(body: dict[str, Any]) -> str:
    return question(body).split("# Answer A\n")[1].split("\n")[0]


def test_both_orders_are_asked_and_the_first_shown_is_a() -> None:
    def prefers_4(_: int, body: dict[str, Any]) -> Reply:
        return (
            completion("A", {"A": -0.25, " B": -1.5}) if first_shown(body) == "4" else completion("B", {"B": -0.5, "A": -1.0})
        )

    with endpoint(prefers_4) as server:
        assert only(judged([PAIR], settings(server.url))) == [[0.0, 1.25], [-0.5, 0.0]]
    assert sorted(first_shown(body) for body in server.bodies) == ["4", "5"]
    body = server.bodies[0]
    assert (body["model"], body["temperature"], body["max_tokens"], body["logprobs"], body["top_logprobs"]) == (
        "m",
        0,
        16,
        True,
        20,
    )


def test_equal_answers_are_asked_about_once() -> None:
    with endpoint(lambda *_: completion("A")) as server:
        judged([Task("q", ("x", "y", "x"), games(3))], settings(server.url))
    assert len(server.bodies) == 3  # x y, y x, x x


def test_an_own_template_is_filled_in_once(tmp_path: Path) -> None:
    path = tmp_path / "question.txt"
    path.write_text("{prompt} | {a} | {b} | {json}")
    with endpoint(lambda *_: completion("B")) as server:
        judged([Task("{a}?", ("{b}", "y"), ((0, 1),))], settings(server.url, template=str(path)))
    assert [question(body) for body in server.bodies] == ["{a}? | {b} | y | {json}"]


@pytest.mark.parametrize(
    ("text", "message"),
    [("{prompt} {a}", r"lacks \{b\}; it needs \{prompt\}, \{a\} and \{b\}"), (None, "cannot be read; give a text file")],
)
def test_a_wrong_template_is_refused_at_the_start(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "question.txt"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InvalidInput, match=f"^SPARRING_JUDGE_TEMPLATE: .*{message}"):
        load_engine(settings("http://127.0.0.1:1/v1", template=str(path)))


def test_long_texts_are_cut_by_characters() -> None:
    with endpoint(lambda *_: completion("A")) as server:
        engine = load_engine(settings(server.url, source_max_tokens=10, candidate_max_tokens=5))
    plan = engine.reader.plan(Task("q" * 42, ("x" * 21, "y" * 20), ((0, 1),)))
    assert plan.reading.tokens == (6, 5)
    assert plan.reading.truncated == (True, False)
    assert (plan.reading.prompt_tokens, plan.reading.prompt_truncated) == (11, True)
    (unit,) = plan.units
    assert unit.content == fill(DEFAULT_TEMPLATE, {"prompt": "q" * 40, "a": "x" * 20, "b": "y" * 20})


def test_a_busy_endpoint_is_asked_again_after_the_time_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("openai._base_client.time.sleep", waited.append)
    before = counted("requests"), counted("retries")
    with endpoint(lambda n, _: refusal(429, "slow down", retry_after="7") if n < 2 else completion("A")) as server:
        (value,) = values(1, settings(server.url))
    assert value == pytest.approx(np.log(9))
    assert waited == [7.0, 7.0]
    assert (counted("requests") - before[0], counted("retries") - before[1]) == (3, 2)


def test_what_fails_to_the_end_is_the_error_of_its_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openai._base_client.time.sleep", lambda _: None)

    def fails_for_1(_: int, body: dict[str, Any]) -> Reply:
        return refusal(500, "out of order") if question(body) == "question 1" else completion("B")

    with endpoint(fails_for_1) as server:
        first, second, third = values(3, settings(server.url, retries=2))
    assert (first, third) == (-np.log(9), -np.log(9))
    assert isinstance(second, Unavailable)
    assert second.message == f"{server.url} fails with status 500; see its log."
    assert [question(body) for body in server.bodies].count("question 1") == 3


@pytest.mark.parametrize(
    ("reply", "kind", "message"),
    [
        (refusal(429, "no"), Unavailable, "refuses more requests"),
        (refusal(401, "no"), Unavailable, "refuses the key; set SPARRING_JUDGE_API_KEY"),
        (refusal(404, "no"), Unavailable, "knows no model m"),
        (refusal(400, "the prompt is too long"), InvalidInput, "refuses the question: Error code: 400"),
        (Reply(200, {"choices": []}), Broken, "something else than a chat completion: choices: Tuple should have at least 1"),
        (Reply(200, b"<html>"), Broken, "something else than a chat completion"),
    ],
)
def test_what_an_endpoint_refuses_says_what_to_do(reply: Reply, kind: type[SparringError], message: str) -> None:
    with endpoint(lambda *_: reply) as server:
        (value,) = values(1, settings(server.url, retries=0))
    assert isinstance(value, kind)
    assert message in value.message


def test_an_endpoint_that_goes_away() -> None:
    with endpoint(lambda *_: completion("A")) as server:
        engine = load_engine(settings(server.url, retries=0))
    (value,) = engine.load().compute([Unit(b"1", 1, "q")]).values
    assert isinstance(value, Unavailable)
    assert "cannot be reached (APIConnectionError); start it or correct SPARRING_JUDGE_URL" in value.message


def revision(model: Reply) -> str:
    with endpoint(lambda *_: completion("A"), model) as server:
        return load_engine(settings(server.url, retries=0)).reader.ref.revision


@pytest.mark.parametrize("told", [refusal(404, "There is no such route."), Reply(200, {"id": "m", "owned_by": "o"})])
def test_an_endpoint_need_not_tell_of_its_model(told: Reply) -> None:
    assert revision(told).startswith("endpoint+")


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_an_endpoint_that_is_down_for_a_moment_is_not_another_judge(status: int) -> None:
    with pytest.raises(Unavailable):
        revision(refusal(status, "not now"))


def test_an_endpoint_that_is_not_there() -> None:
    with pytest.raises(Unavailable, match=r"cannot be reached \(APIConnectionError\); start it or correct SPARRING_JUDGE_URL"):
        load_engine(settings(f"http://127.0.0.1:{free_port()}/v1", retries=0))


def test_an_endpoint_that_does_not_answer_in_time() -> None:
    release = threading.Event()

    def late(*_: Any) -> Reply:
        release.wait()
        return completion("A")

    with endpoint(late) as server:
        (value,) = values(1, settings(server.url, retries=0, answer_seconds=0.2))
        release.set()
    assert isinstance(value, Unavailable)
    assert value.message == f"{server.url} did not answer in 0.2 s; raise SPARRING_JUDGE_ANSWER_SECONDS."


def test_what_an_endpoint_does_not_know_is_left_out_from_then_on() -> None:
    def strict(_: int, body: dict[str, Any]) -> Reply:
        if "logprobs" in body:
            return refusal(400, "logprobs is not supported with this model.")
        if "max_tokens" in body:
            return refusal(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        if "temperature" in body:
            return refusal(400, "Unsupported value: 'temperature' does not support 0 with this model.")
        return completion("B")

    with endpoint(strict) as server:
        engine = load_engine(settings(server.url, concurrency=1))
        computed = engine.load().compute([Unit(bytes([n]), 1, f"question {n}") for n in range(2)])
    assert computed.values == (-np.log(9), -np.log(9))
    assert len(server.bodies) == 5
    assert server.bodies[-1].keys() == {"model", "messages", "max_completion_tokens"}


@pytest.mark.parametrize(
    ("message", "refused"),
    [
        ("Requested sample logprobs of 20, which is greater than max allowed: 5", {"logprobs", "top_logprobs"}),
        ("Unsupported parameter: 'max_tokens' is not supported with this model.", {"max_tokens"}),
        ("'max_tokens' is too large: 16. This model's maximum context length is 1024 tokens.", set()),
        ("The request is not supported.", set()),
    ],
)
def test_options_that_an_error_refuses(message: str, refused: set[str]) -> None:
    assert refused_options(message) == refused


def test_a_password_in_the_url_is_not_shown() -> None:
    with endpoint(lambda *_: completion("A")) as server:
        url = server.url.replace("http://", "http://somebody:sesame@")
        computer = load_engine(settings(f"{url}?key=sesame", retries=0)).load()
    (value,) = computer.compute([Unit(b"1", 1, "q")]).values
    assert isinstance(value, Unavailable)
    assert "sesame" not in computer.description.device + value.message


def test_so_many_questions_are_asked_at_once() -> None:
    two, three, release = threading.Event(), threading.Event(), threading.Event()
    inside = [0]
    lock = threading.Lock()

    def held(*_: Any) -> Reply:
        with lock:
            inside[0] += 1
            two.set() if inside[0] == 2 else None
            three.set() if inside[0] == 3 else None
        release.wait()
        with lock:
            inside[0] -= 1
        return completion("A")

    with endpoint(held) as server:
        computer = load_engine(settings(server.url, concurrency=2)).load()
        assert (computer.description.parallel, computer.description.batch_tokens) == (2, 1)
        batches = [[Unit(bytes([n, m]), 1, "q") for n in range(3)] for m in range(2)]
        threads = [threading.Thread(target=computer.compute, args=[batch]) for batch in batches]
        for thread in threads:
            thread.start()
        assert two.wait(60)
        more = three.wait(0.3)
        release.set()
        for thread in threads:
            thread.join()
    assert not more
    assert len(server.bodies) == 6


def test_the_key_is_sent_and_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    with endpoint(lambda n, _: completion("A") if n else refusal(401, "wrong key sesame")) as server:
        chosen = settings(server.url, api_key="sesame-1234")
        engine = load_engine(chosen)
        refused, answered = engine.load(), engine.load()
        errors = refused.compute([Unit(b"1", 1, "q")]).values
        answered.compute([Unit(b"2", 1, "q")])
    assert server.keys == ["Bearer sesame-1234", "Bearer sesame-1234"]
    for shown in (repr(chosen), repr(engine.load), str(errors), caplog.text):
        assert "sesame-1234" not in shown


def test_without_a_key_none_of_the_environment_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "for-somebody-else")
    with endpoint(lambda *_: completion("A")) as server:
        values(1, settings(server.url))
    assert server.keys == ["Bearer none"]
