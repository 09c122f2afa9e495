"""The Python clients against the judge in a process of its own, and against servers that are busy."""

import asyncio
import math
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx
import pytest
from compat_answers import ANSWERS, OTHER_PROMPT, PROMPT

from sparring_judge.client import AsyncJudge, Judge, Retries, trl_reward
from sparring_judge.client.steps import Wait
from sparring_shared.errors import Busy, InvalidInput, Unauthorized, Unavailable
from sparring_shared.wire.judge import CompareItem, CompareResult, ItemError, RankItem, RankResult

PAIRS = [(ANSWERS[1], ANSWERS[0]), ("plum is a tool.", "saw is a tool.")]
PROMPTS = [PROMPT, OTHER_PROMPT]
INFO = (
    b'{"name": "n", "revision": "r", "engine": "e", "device": "d", "note": null, "limits": {"max_items": 1, '
    b'"max_candidates": 2, "max_passes": 2, "max_body_bytes": 3, "source_max_tokens": 4, "candidate_max_tokens": 5}}'
)
BUSY = b'{"error": {"type": "busy", "message": "The queue is full.", "detail": null}}'


@contextmanager
def answering(*answers: tuple[int, bytes]) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A server that gives these answers one after the other, and the headers it was sent."""
    left, seen = list(answers), []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append({name.lower(): text for name, text in self.headers.items()})
            status, body = left.pop(0)
            self.send_response(status)
            self.send_header("Retry-After", "0")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        thread.join(30)
        server.server_close()


def win_rates(results: Sequence[RankResult | ItemError]) -> list[tuple[float, ...] | None]:
    return [one.win_rates if isinstance(one, RankResult) else None for one in results]


def test_rank_and_compare_in_several_requests(judge_url: str) -> None:
    items = [RankItem(prompt=PROMPT, candidates=ANSWERS), RankItem(prompt=PROMPT, candidates=("a",), pairs=((0, 1),))]
    items += [RankItem(prompt=OTHER_PROMPT, candidates=PAIRS[1])]
    with Judge(judge_url, at_once=2) as judge:
        first, failed, last = judge.rank(items)
        (compared,) = judge.compare([CompareItem(prompt=OTHER_PROMPT, a=PAIRS[1][0], b=PAIRS[1][1])])
        assert judge.rank([]) == ()
        assert judge.info().name == "demo-judge"
    assert isinstance(first, RankResult) and isinstance(last, RankResult) and isinstance(compared, CompareResult)
    assert isinstance(failed, ItemError)
    assert sum(first.win_rates or ()) == pytest.approx(1.5)
    assert compared.p_a == pytest.approx(last.probs[0][1])


def test_the_estimator_is_passed_on(judge_url: str) -> None:
    item = CompareItem(prompt=PROMPT, a=ANSWERS[1], b=ANSWERS[0])
    with Judge(judge_url) as judge:
        (pairwise,), (official,) = judge.compare([item]), judge.compare([item], "official")
        assert isinstance(pairwise, CompareResult) and isinstance(official, CompareResult)
        assert pairwise.p_a < official.p_a
        ranked = RankItem(prompt=PROMPT, candidates=PAIRS[0])
        assert win_rates(judge.rank([ranked])) != win_rates(judge.rank([ranked], "official"))


def test_the_awaited_client_says_the_same(judge_url: str) -> None:
    items = [RankItem(prompt=PROMPT, candidates=ANSWERS), RankItem(prompt=OTHER_PROMPT, candidates=PAIRS[1])]

    async def ask() -> None:
        async with AsyncJudge(judge_url, at_once=1) as judge:
            ranked, choices = await judge.rank(items), await judge.judge(PROMPTS, PAIRS)
            compared = await judge.compare([CompareItem(prompt=PROMPT, a=ANSWERS[1], b=ANSWERS[0])])
            info = await judge.info()
        with Judge(judge_url) as blocking:
            assert win_rates(ranked) == [pytest.approx(rates) for rates in win_rates(blocking.rank(items))]
            assert choices == blocking.judge(PROMPTS, PAIRS) == [0, 1]
            assert info == blocking.info()
        assert isinstance(compared[0], CompareResult) and compared[0].p_a > 0.5

    asyncio.run(ask())


# TRL 1.0, trl/experimental/judges/judges.py, PairRMJudge.judge: softmax of llm-blender's scores, P of the first
def test_judge_is_trls_pairwise_judge(judge_url: str) -> None:
    with Judge(judge_url) as judge:
        assert judge.judge(PROMPTS, [list(pair) for pair in PAIRS], shuffle_order=False) == [0, 1]
        probabilities = judge.judge(PROMPTS, PAIRS, return_scores=True, temperature=2.0)
        ranked = judge.rank([RankItem(prompt=p, candidates=pair) for p, pair in zip(PROMPTS, PAIRS, strict=True)])
        for found, one in zip(probabilities, ranked, strict=True):
            assert isinstance(one, RankResult) and one.scores is not None
            first, second = (math.exp(score / 2.0) for score in one.scores)
            assert found == pytest.approx(first / (first + second))
        assert judge.judge([PROMPT], [("same", "same")]) == [0]


def test_judge_says_minus_one_where_it_cannot(judge_url: str) -> None:
    prompts = [PROMPT, [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "I end"}]]
    with Judge(judge_url) as judge:
        assert judge.judge(prompts, [PAIRS[0], ("a", "b")]) == [0, -1]
        assert judge.judge(prompts, [PAIRS[0], ("a", "b")], return_scores=True)[1] == -1.0
        with pytest.raises(InvalidInput, match=r"^completions\.1 is not a pair"):
            judge.judge([PROMPT, PROMPT], [("a", "b"), "ab"])
        with pytest.raises(InvalidInput, match="There are 1 prompts and 2 pairs"):
            judge.judge([PROMPT], PAIRS)


# TRL 1.16, trl/trainer/grpo_trainer.py, _calculate_rewards: prompts repeated for each completion, columns besides
def test_trl_reward_is_the_win_rate_among_equal_prompts(judge_url: str) -> None:
    prompts = [PROMPT, OTHER_PROMPT, PROMPT, "alone", PROMPT, OTHER_PROMPT]
    completions = [ANSWERS[0], PAIRS[1][0], ANSWERS[1], "x", ANSWERS[2], PAIRS[1][1]]
    reward = trl_reward(judge_url)
    found = reward(prompts=prompts, completions=completions, completion_ids=[[1]] * 6, answer=["x"] * 6, trainer_state=None)
    with Judge(judge_url) as judge:
        items = [RankItem(prompt=PROMPT, candidates=ANSWERS), RankItem(prompt=OTHER_PROMPT, candidates=PAIRS[1])]
        first, second = win_rates(judge.rank(items))
    assert first is not None and second is not None
    assert [found[0], found[2], found[4]] == pytest.approx(list(first))
    assert [found[1], found[5]] == pytest.approx(list(second))
    assert found[3] is None
    assert reward.__name__ == "judge_win_rate"


def test_trl_reward_of_conversations(judge_url: str) -> None:
    prompt = [{"role": "user", "content": [{"type": "text", "text": PROMPT}]}]
    completions = [[{"role": "assistant", "content": text}] for text in ANSWERS]
    found = trl_reward(judge_url)(prompts=[prompt] * 3, completions=completions)
    assert found == pytest.approx(trl_reward(judge_url)(prompts=[PROMPT] * 3, completions=ANSWERS))
    calls = [{"role": "assistant", "content": None, "tool_calls": []}, {"role": "tool", "content": "plum"}, *completions[1]]
    assert trl_reward(judge_url)(prompts=[prompt] * 3, completions=[completions[0], calls, completions[2]]) == found


def test_trl_reward_of_a_lone_answer_against_a_baseline(judge_url: str) -> None:
    reward = trl_reward(judge_url, baseline=ANSWERS[0])
    (found,) = reward(prompts=[PROMPT], completions=[ANSWERS[1]])
    with Judge(judge_url) as judge:
        (compared,) = judge.compare([CompareItem(prompt=PROMPT, a=ANSWERS[1], b=ANSWERS[0])])
    assert isinstance(compared, CompareResult)
    assert found == pytest.approx(compared.p_a)


def test_trl_reward_is_none_where_the_prompt_cannot_be_judged(judge_url: str, caplog: pytest.LogCaptureFixture) -> None:
    bad = [{"role": "assistant", "content": "I end"}]
    found = trl_reward(judge_url)(prompts=[bad, PROMPT, bad, PROMPT], completions=["a", ANSWERS[1], "b", ANSWERS[0]])
    assert (found[0], found[2]) == (None, None)
    assert found[1] is not None and found[3] is not None
    assert "2 completions have no reward: The prompt ends with a message of the assistant" in caplog.text
    with pytest.raises(InvalidInput, match="has no role, or none of system, user and assistant"):
        trl_reward(judge_url)(prompts=[[{"role": "tool", "content": "x"}]] * 2, completions=["a", "b"])


def test_a_busy_judge_is_asked_again() -> None:
    with answering((429, BUSY), (503, b""), (200, INFO)) as (url, seen), Judge(url, token="secret") as judge:
        assert judge.info().name == "n"
    assert [one["authorization"] for one in seen] == ["Bearer secret"] * 3
    assert seen[0]["x-sparring-deadline-seconds"] == "600.0"


def test_a_judge_that_stays_busy_is_not_asked_for_ever() -> None:
    with answering(*[(429, BUSY)] * 2) as (url, seen), Judge(url, retries=Retries(tries=2)) as judge:
        with pytest.raises(Busy, match=r"^The queue is full\.$"):
            judge.info()
        assert len(seen) == 2


def test_other_errors_are_not_tried_again() -> None:
    body = b'{"error": {"type": "unauthorized", "message": "No.", "detail": null}}'

    async def ask(url: str) -> None:
        async with AsyncJudge(url) as judge:
            with pytest.raises(Unauthorized, match=r"^No\.$"):
                await judge.info()

    with answering((401, body)) as (url, seen):
        asyncio.run(ask(url))
        assert len(seen) == 1
        assert "authorization" not in seen[0]


def test_no_judge_at_all() -> None:
    with answering() as (url, _):
        pass
    with (
        Judge(url, retries=Retries(tries=1)) as judge,
        pytest.raises(Unavailable, match=f"^The judge at {url} does not answer"),
    ):
        judge.info()


def test_how_long_a_client_waits() -> None:
    retries = Retries(tries=4, longest=3.0)

    def refusal(status: int, **headers: str) -> httpx.Response:
        return httpx.Response(status, headers=headers)

    assert retries.wait(1, refusal(429, **{"Retry-After": "2"})) == Wait(2.0)
    assert retries.wait(1, refusal(503, **{"Retry-After": "60"})) == Wait(3.0)
    assert [retries.wait(tried, httpx.ConnectError("refused")) for tried in (1, 2, 3, 4)] == [
        Wait(0.5),
        Wait(1.0),
        Wait(2.0),
        None,
    ]
    assert retries.wait(1, refusal(500)) is None
    assert retries.wait(1, refusal(200)) is None


def test_the_client_needs_neither_a_model_nor_a_server() -> None:
    program = (
        "import sys, sparring_judge.client; print([n for n in ('torch', 'numpy', 'fastapi', 'tokenizers') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
