"""A judge that fails while it serves says so and ends, and a request that is too much is refused before it is read."""

import subprocess
import sys
import threading
from collections.abc import Sequence

import httpx
import pytest
from live_judge import metric, served, wait_for
from ports import free_port

from sparring_judge.engines.by_name import load_engine
from sparring_judge.engines.engine import Computed, Engine
from sparring_judge.engines.stand_in import FakeComputer, FakeReader
from sparring_judge.queue.background_judge import BackgroundJudge
from sparring_judge.service.app import create_app
from sparring_judge.settings import JudgeSettings
from sparring_judge.tasks.task import Task
from sparring_judge.tasks.units import Limits, Plan, Unit

ITEM = {"prompt": "what is zinc?", "candidates": ["a metal.", "gold"]}


class Failing(FakeComputer):
    """Has no value for `gold`, which no engine does; the queue is not made for that."""

    def compute(self, units: Sequence[Unit]) -> Computed:
        values = super().compute(units).values
        return Computed(values[:-1] if any("gold" in str(unit.content) for unit in units) else values)


def test_a_judge_whose_queue_failed_is_not_ready_and_answers_at_once() -> None:
    settings = JudgeSettings(engine="fake")
    ended = threading.Event()
    engine = Engine(load_engine(settings).reader, Failing)
    with served(create_app(settings, BackgroundJudge(lambda: engine, settings, on_failure=ended.set))) as (url, _):
        wait_for(lambda: httpx.get(f"{url}/readyz").status_code == 200)
        (item,) = httpx.post(f"{url}/v1/rank", json={"items": [ITEM]}, timeout=10).json()["items"]
        sentence = "The judge failed (ValueError; see its log) and has to be started again."
        assert item["error"] == {"type": "unavailable", "message": sentence, "detail": None}
        assert ended.wait(10)
        for answer in (httpx.get(f"{url}/readyz"), httpx.post(f"{url}/v1/rank", json={"items": [ITEM]}, timeout=10)):
            assert (answer.status_code, answer.json()["error"]["message"]) == (503, sentence)
        assert httpx.get(f"{url}/healthz").status_code == 200


PROGRAM = """
import sys
from sparring_judge import __main__ as main
from sparring_judge.engines.engine import Engine
from test_judge_failure import Failing
load = main.loader
main.loader = lambda settings: lambda: Engine(load(settings)().reader, Failing)
sys.exit(main.main())
"""


def test_the_process_ends_so_that_its_supervisor_starts_it_again() -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env={"SPARRING_JUDGE_ENGINE": "fake", "SPARRING_JUDGE_PORT": str(port), "PYTHONPATH": ":".join(sys.path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for(lambda: process.poll() is not None or _ready(url))
        assert (
            httpx.post(f"{url}/v1/rank", json={"items": [ITEM]}, timeout=10).json()["items"][0]["error"]["type"]
            == "unavailable"
        )
        _, said = process.communicate(timeout=60)
        assert process.returncode == 70
        assert said.splitlines()[-1] == "sparring: The judge failed (ValueError; see its log) and has to be started again."
    finally:
        process.kill()


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


class SlowReader(FakeReader):
    """Notes whose turn it was; reads the first task when it is told to."""

    def __init__(self) -> None:
        super().__init__(Limits(1000, 1000))
        self.read: list[str] = []
        self.reading, self.go = threading.Event(), threading.Event()

    def plan(self, task: Task) -> Plan:
        if task.prompt == "large 0":
            self.reading.set()
            assert self.go.wait(60)
        self.read.append(task.prompt)
        return super().plan(task)


def test_a_small_request_is_read_between_the_parts_of_a_large_one() -> None:
    settings = JudgeSettings(engine="fake")
    reader = SlowReader()
    judge = BackgroundJudge(lambda: Engine(reader, FakeComputer), settings)
    with served(create_app(settings, judge)) as (url, _):
        wait_for(lambda: httpx.get(f"{url}/readyz").status_code == 200)
        reader.read.clear()

        def ask(name: str, count: int) -> threading.Thread:
            items = [{**ITEM, "prompt": f"{name} {n}"} for n in range(count)]
            thread = threading.Thread(
                target=httpx.post, args=(f"{url}/v1/rank",), kwargs={"json": {"items": items}, "timeout": 60}
            )
            thread.start()
            return thread

        large = ask("large", 20)
        assert reader.reading.wait(60)
        small = ask("small", 1)
        wait_for(lambda: metric(url, "sparring_judge_unread_requests") == 2)
        reader.go.set()
        large.join(60)
        small.join(60)
        assert reader.read.index("small 0") == 8


@pytest.mark.parametrize(
    ("item", "wanted"),
    [
        ({"prompt": "p", "candidates": [str(n) for n in range(8)]}, 56 * 3),
        ({"prompt": "p", "candidates": ["a", "b"], "pairs": [[0, 1]] * 60}, 120 * 3),
    ],
)
def test_a_request_of_too_many_comparisons_is_refused_before_it_is_read(item: dict[str, object], wanted: int) -> None:
    settings = JudgeSettings(engine="fake", max_passes=wanted - 1)
    reader = SlowReader()
    with served(create_app(settings, BackgroundJudge(lambda: Engine(reader, FakeComputer), settings))) as (url, _):
        wait_for(lambda: httpx.get(f"{url}/readyz").status_code == 200)
        reader.read.clear()
        answer = httpx.post(f"{url}/v1/rank", json={"items": [item] * 3}, timeout=60)
        sentence = f"The request holds {wanted} comparisons, both orders counted; send {wanted - 1} at most."
        assert (answer.status_code, answer.json()["error"]["message"]) == (413, sentence)
        assert reader.read == []
        assert httpx.post(f"{url}/v1/rank", json={"items": [item] * 2}, timeout=60).status_code == 200


def test_the_limit_holds_for_other_tools_too() -> None:
    settings = JudgeSettings(engine="fake", max_passes=55)
    with served(create_app(settings, BackgroundJudge(lambda: load_engine(settings), settings))) as (url, _):
        wait_for(lambda: httpx.get(f"{url}/readyz").status_code == 200)
        queries = {"query": [f"p{n}" for n in range(8)], "prompts": ["p"] * 8}
        assert httpx.post(f"{url}/get_reward", json=queries, timeout=60).status_code == 413
