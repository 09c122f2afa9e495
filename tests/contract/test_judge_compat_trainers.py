"""The judge's routes for trainers, called as each of them really does: headers and bodies are those of their code."""

import json
from typing import Any

import msgspec
import pytest
from compat_answers import ANSWERS, LONE_ANSWER_AGAINST, OTHER_PROMPT, PROMPT, beats, win_rates
from fastapi.testclient import TestClient

CHAT = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
AIOHTTP = {"Accept": "*/*", "Accept-Encoding": "gzip, deflate", "User-Agent": "Python/3.11 aiohttp/3.14.5"}


def aiohttp_post(judge: TestClient, path: str, body: Any) -> Any:
    """As aiohttp's `session.post(url, json=...)`."""
    response = judge.post(path, content=json.dumps(body), headers={**AIOHTTP, "Content-Type": "application/json"})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"  # aiohttp's response.json() wants it
    return response.json()


def oat(judge: TestClient, **body: Any) -> Any:
    """As httpx's `client.post("/get_feedback", content=msgspec.msgpack.encode(...))`: without a content type."""
    response = judge.post("/get_feedback", content=msgspec.msgpack.encode(body))
    assert response.status_code == 200, response.text
    return msgspec.msgpack.decode(response.content)


# OpenRLHF 0.11, openrlhf/utils/agent.py, SingleTurnAgentExecutor._fetch_rewards_via_http
def test_openrlhf_asks_for_one_query(judge: TestClient) -> None:
    prompt = CHAT.format(PROMPT)
    body = {"query": [prompt + "plum is a fruit.<|im_end|>"], "prompts": [prompt], "labels": [""]}
    answer = aiohttp_post(judge, "/get_reward", body)
    expected = beats(judge, prompt, "plum is a fruit.", LONE_ANSWER_AGAINST)
    assert answer == {
        "rewards": [pytest.approx(expected)],
        "scores": answer["rewards"],
        "extra_logs": {"judge_truncated": [0.0]},
    }
    assert expected > 0.5


# OpenRLHF 0.11.0 and before: with more servers than queries some of them get empty lists.
def test_openrlhf_asks_for_nothing(judge: TestClient) -> None:
    answer = aiohttp_post(judge, "/get_reward", {"query": [], "prompts": [], "labels": []})
    assert answer == {"rewards": [], "scores": [], "extra_logs": {"judge_truncated": []}}


def test_openrlhf_queries_with_equal_prompts_meet_each_other(judge: TestClient) -> None:
    prompts = [PROMPT, OTHER_PROMPT, PROMPT, PROMPT]
    texts = [ANSWERS[0], "saw is a tool.", ANSWERS[1], ANSWERS[2]]
    query = [prompt + text + "</s>" for prompt, text in zip(prompts, texts, strict=True)]
    rewards = aiohttp_post(judge, "/get_reward", {"query": query, "prompts": prompts, "labels": [None] * 4})["rewards"]
    assert [rewards[0], *rewards[2:]] == pytest.approx(win_rates(judge, PROMPT, *ANSWERS))
    assert rewards[1] == pytest.approx(beats(judge, OTHER_PROMPT, "saw is a tool.", LONE_ANSWER_AGAINST))


def test_openrlhf_cuts_a_long_prompt_at_its_beginning(judge: TestClient) -> None:
    prompt = CHAT.format("plum and saw and axe. " * 10 + PROMPT)
    cut = prompt[100:] + "plum is a fruit.<|im_end|>"
    whole = {"query": [prompt + "plum is a fruit."], "prompts": [prompt], "labels": [None]}
    rewards = aiohttp_post(judge, "/get_reward", {"query": [cut], "prompts": [prompt], "labels": [None]})["rewards"]
    assert rewards == aiohttp_post(judge, "/get_reward", whole)["rewards"]


def test_openrlhf_with_a_query_that_is_not_of_its_prompt(judge: TestClient) -> None:
    response = judge.post("/get_reward", json={"query": ["plum is a fruit."], "prompts": [PROMPT], "labels": [None]})
    assert response.status_code == 422
    assert response.json()["error"]["message"] == (
        "A text does not begin with its prompt, nor with the end of it; send the prompt and then the answer."
    )
    uneven = judge.post("/get_reward", json={"query": ["a", "b"], "prompts": ["a"], "labels": [None]})
    assert uneven.json()["error"]["message"] == "query holds 2 texts and prompts 1; send one for each."


# LLaMA-Factory, src/llamafactory/train/ppo/ppo_utils.py, get_rewards_from_server
def test_llama_factory_sends_whole_texts(judge: TestClient) -> None:
    texts = [CHAT.format(PROMPT) + text + "<|im_end|>" for text in ANSWERS[:2]]
    body = json.dumps({"model": "model", "messages": texts})
    headers = {"Content-Type": "application/json", "User-Agent": "python-requests/2.33.0", "Accept": "*/*"}
    scores = judge.post("/v1/score/evaluation", content=body, headers=headers).json()["scores"]
    whole = [text.removesuffix("<|im_end|>") for text in texts]
    assert scores == pytest.approx([beats(judge, "", text, LONE_ANSWER_AGAINST) for text in whole])


def test_llama_factory_is_told_where_the_answer_begins(judge: TestClient) -> None:
    texts = [CHAT.format(PROMPT) + text + "<|im_end|>" for text in ANSWERS]
    path = "/v1/score/evaluation?answer_after=%3C%7Cim_start%7C%3Eassistant%0A"
    answer = judge.post(path, json={"model": "model", "messages": texts}).json()
    assert answer["scores"] == pytest.approx(win_rates(judge, CHAT.format(PROMPT), *ANSWERS))
    assert (answer["object"], answer["model"]) == ("score.evaluation", "demo-judge")
    missing = judge.post(path, json={"model": "model", "messages": ["no marker"]})
    assert missing.json()["error"]["message"] == (
        "A text does not hold '<|im_start|>assistant\\n', which answer_after names; correct it or leave it out."
    )
    assert judge.post(path, json={"model": "model", "messages": []}).json()["scores"] == []


# slime, slime/rollout/rm_hub/__init__.py, remote_rm
@pytest.mark.parametrize("prompt", [PROMPT, [{"role": "user", "content": PROMPT}]])
def test_slime_reads_the_body_as_the_reward(judge: TestClient, prompt: Any) -> None:
    reward = aiohttp_post(judge, "/remote_rm", {"prompt": prompt, "response": "plum is a fruit.<|im_end|>", "label": "plum"})
    assert reward == pytest.approx(beats(judge, PROMPT, "plum is a fruit.", LONE_ANSWER_AGAINST))


def test_slime_without_a_label_and_with_an_unknown_role(judge: TestClient) -> None:
    assert 0 < aiohttp_post(judge, "/remote_rm", {"prompt": PROMPT, "response": "", "label": None}) < 1
    body = {"prompt": [{"role": "tool", "content": "x"}], "response": "", "label": None}
    refused = judge.post("/remote_rm", json=body).json()["error"]["message"]
    assert refused == "A message has the role 'tool'; send system, user or assistant."


# oat, oat/oracles/remote/client.py, RemoteRMOracle.compare and get_reward (pairs are tuples there)
def test_oat_compares_candidates(judge: TestClient) -> None:
    pairs = [(ANSWERS[1], ANSWERS[0]), ("plum is a tool.", "saw is a tool.")]
    answer = oat(judge, batch_prompt=[PROMPT, OTHER_PROMPT], batch_response=[], batch_candidates=pairs)
    expected = [beats(judge, PROMPT, *pairs[0]), beats(judge, OTHER_PROMPT, *pairs[1])]
    assert answer == {"batch_score": [], "batch_first_win_prob": pytest.approx(expected)}
    assert expected[0] > 0.5 > expected[1]


def test_oat_scores_responses(judge: TestClient) -> None:
    answer = oat(judge, batch_prompt=[PROMPT] * 3, batch_response=list(ANSWERS), batch_candidates=[])
    assert answer == {"batch_score": pytest.approx(win_rates(judge, PROMPT, *ANSWERS)), "batch_first_win_prob": []}
    assert oat(judge, batch_prompt=[], batch_response=[], batch_candidates=[]) == {
        "batch_score": [],
        "batch_first_win_prob": [],
    }


def test_oat_with_what_is_not_its_message(judge: TestClient) -> None:
    def refused(content: bytes) -> str:
        response = judge.post("/get_feedback", content=content)
        assert response.status_code == 422
        return response.json()["error"]["message"]

    assert (
        refused(b"\xc1")
        == "The body is not the MessagePack that oat sends: MessagePack data is malformed: invalid opcode '\\xc1' (byte 0)."
    )
    assert "missing required field `batch_prompt`" in refused(msgspec.msgpack.encode({}))
    uneven = {"batch_prompt": ["a"], "batch_response": ["b", "c"], "batch_candidates": []}
    assert (
        refused(msgspec.msgpack.encode(uneven)) == "batch_response holds 2 entries for 1 prompts; send one for each, or none."
    )


# NeMo-Gym, resources_servers/genrm_compare/comparison_strategies.py, GenRMStrategy.compare
def nemo_gym(*texts: str) -> dict[str, Any]:
    reasoning = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "thinking"}], "id": "rs_1"}
    outputs = [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]} for text in texts]
    responses = [{"id": "resp_1", "object": "response", "output": [reasoning, output]} for output in outputs]
    return {
        "conversation_history": [{"role": "user", "content": PROMPT}],
        "response_objs": responses,
        "principle": "Be concise",
    }


def test_nemo_gym_compares_responses(judge: TestClient) -> None:
    answer = aiohttp_post(judge, "/compare", nemo_gym(*ANSWERS))
    assert answer["rewards"] == pytest.approx(win_rates(judge, PROMPT, *ANSWERS))
    assert [(one["response_i"], one["response_j"]) for one in answer["comparison_results"]] == [(0, 1), (0, 2), (1, 2)]
    first = answer["comparison_results"][0]
    p = beats(judge, PROMPT, ANSWERS[0], ANSWERS[1])
    assert (first["score_1"], first["score_2"], first["judge_idx"]) == (pytest.approx(p), pytest.approx(1 - p), 0)
    assert first["ranking"] == pytest.approx(6 - 5 * p)
    assert answer["metrics"] == {"truncated_rate": 0.0}


def test_nemo_gym_with_one_response_and_none(judge: TestClient) -> None:
    assert aiohttp_post(judge, "/compare", nemo_gym(ANSWERS[1])) == {
        "rewards": [pytest.approx(beats(judge, PROMPT, ANSWERS[1], LONE_ANSWER_AGAINST))],
        "comparison_results": None,
        "metrics": None,
    }
    assert aiohttp_post(judge, "/compare", nemo_gym())["rewards"] == []


def test_more_answers_to_a_prompt_than_the_judge_takes(judge: TestClient) -> None:
    sentence = "The request holds 9 answers to one prompt; send 8 at most."
    several = {"query": [PROMPT + str(at) for at in range(9)], "prompts": [PROMPT] * 9, "labels": [None] * 9}
    for path, body in (("/get_reward", several), ("/compare", nemo_gym(*"abcdefghi"))):
        response = judge.post(path, json=body)
        assert (response.status_code, response.json()["error"]["message"]) == (422, sentence)
