"""The judge's routes for callers of rerankers and reward models: vLLM, Jina, Cohere, text-embeddings-inference, verl."""

import json
import math
from typing import Any

import pytest
from compat_answers import ANSWERS, LONE_ANSWER_AGAINST, OTHER_PROMPT, PROMPT, beats, win_rates
from fastapi.testclient import TestClient


def post(judge: TestClient, path: str, body: Any, **headers: str) -> Any:
    response = judge.post(path, content=json.dumps(body), headers={"Content-Type": "application/json", **headers})
    assert response.status_code == 200, response.text
    return response.json()


def refused(judge: TestClient, path: str, body: Any, status: int = 422) -> Any:
    response = judge.post(path, json=body)
    assert response.status_code == status, response.text
    return response.json()


def scores(judge: TestClient, body: Any) -> list[float]:
    data = post(judge, "/score", body)["data"]
    assert [one["index"] for one in data] == list(range(len(data)))
    return [one["score"] for one in data]


def log_odds(rate: float) -> float:
    return math.log(rate / (1 - rate))


# vLLM 0.32, vllm/entrypoints/pooling/scoring/protocol.py: ScoreRequest and its four pairs of names
@pytest.mark.parametrize(
    "names", [("text_1", "text_2"), ("queries", "documents"), ("queries", "items"), ("data_1", "data_2")], ids="-".join
)
def test_vllm_score_of_one_prompt_and_n_answers(judge: TestClient, names: tuple[str, str]) -> None:
    body = {"model": "demo-judge", "encoding_format": "float", names[0]: PROMPT, names[1]: list(ANSWERS)}
    assert scores(judge, body) == pytest.approx(win_rates(judge, PROMPT, *ANSWERS))


def test_vllm_score_has_the_shape_of_its_client(judge: TestClient) -> None:
    answer = post(judge, "/v1/score", {"model": "x", "text_1": PROMPT, "text_2": "plum is a fruit."})
    expected = beats(judge, PROMPT, "plum is a fruit.", LONE_ANSWER_AGAINST)
    assert answer.pop("id").startswith("score-")
    assert isinstance(answer.pop("created"), int)
    assert answer == {
        "object": "list",
        "model": "demo-judge",
        "data": [{"index": 0, "object": "score", "score": pytest.approx(expected)}],
        "usage": {"prompt_tokens": 16, "total_tokens": 16, "completion_tokens": 0},
    }


def test_vllm_score_of_n_prompts_and_n_answers(judge: TestClient) -> None:
    texts = [ANSWERS[0], "saw is a tool.", ANSWERS[1]]
    found = scores(judge, {"text_1": [PROMPT, OTHER_PROMPT, PROMPT], "text_2": texts})
    first, last = win_rates(judge, PROMPT, *ANSWERS[:2])
    assert found == pytest.approx([first, beats(judge, OTHER_PROMPT, "saw is a tool.", LONE_ANSWER_AGAINST), last])


def test_vllm_score_without_activation_is_log_odds(judge: TestClient) -> None:
    several = scores(judge, {"text_1": PROMPT, "text_2": list(ANSWERS), "use_activation": False})
    assert several == pytest.approx([log_odds(rate) for rate in win_rates(judge, PROMPT, *ANSWERS)])
    alone = scores(judge, {"text_1": PROMPT, "text_2": ANSWERS[1], "use_activation": False})
    assert alone == pytest.approx([log_odds(beats(judge, PROMPT, ANSWERS[1], LONE_ANSWER_AGAINST))], abs=1e-5)


def test_vllm_score_of_parts_nothing_and_what_does_not_fit(judge: TestClient) -> None:
    parts = {"content": [{"type": "text", "text": "plum is"}, {"type": "text", "text": " a fruit."}]}
    plain = scores(judge, {"queries": PROMPT, "documents": ANSWERS[1]})
    assert scores(judge, {"queries": PROMPT, "documents": parts}) == plain
    assert scores(judge, {"text_1": PROMPT, "text_2": []}) == []
    uneven = refused(judge, "/score", {"text_1": ["a", "b"], "text_2": ["c", "d", "e"]})
    assert uneven["error"]["message"] == "There are 2 prompts and 3 answers; send one prompt, or one for each answer."
    image = {"content": [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]}
    assert "this judge reads text only" in refused(judge, "/score", {"text_1": "a", "text_2": image})["error"]["message"]


# vLLM's RerankRequest; Jina's API has the same names; Cohere's ClientV2.rerank posts to /v2/rerank with a bearer token.
@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/v2/rerank"])
def test_rerank_sorts_by_win_rate(judge: TestClient, path: str) -> None:
    body = {"model": "rerank", "query": PROMPT, "documents": list(ANSWERS)}
    answer = post(judge, path, body, Authorization="Bearer any", **{"X-Client-Name": "cohere"})
    rates = win_rates(judge, PROMPT, *ANSWERS)
    order = sorted(range(3), key=lambda at: -rates[at])
    assert order != [0, 1, 2]
    assert [one["index"] for one in answer["results"]] == order
    assert [one["relevance_score"] for one in answer["results"]] == pytest.approx([rates[at] for at in order])
    assert [one["document"] for one in answer["results"]] == [{"text": ANSWERS[at]} for at in order]
    assert (answer["model"], answer["usage"]["total_tokens"]) == ("demo-judge", 3 * 11 + 5 + 5 + 7)


def test_rerank_with_top_n_and_without_documents(judge: TestClient) -> None:
    body = {"query": PROMPT, "documents": [{"text": text} for text in ANSWERS], "top_n": 2, "return_documents": False}
    results = post(judge, "/rerank", body)["results"]
    assert [set(one) for one in results] == [{"index", "relevance_score"}] * 2
    assert len(post(judge, "/rerank", {**body, "top_n": 0})["results"]) == 3
    assert post(judge, "/rerank", {"query": PROMPT, "documents": []})["results"] == []


def test_rerank_of_equals_is_in_the_order_of_the_request(judge: TestClient) -> None:
    results = post(judge, "/rerank", {"query": PROMPT, "documents": ["a fruit.", "plum is a fruit.", "a fruit."]})["results"]
    equals = [one for one in results if one["index"] != 1]
    assert [one["index"] for one in equals] == [0, 2]
    assert equals[0]["relevance_score"] == equals[1]["relevance_score"]


def test_rerank_says_what_is_wrong_to_callers_of_vllm(judge: TestClient) -> None:
    error = refused(judge, "/rerank", {"query": PROMPT, "documents": list("abcdefghi")})["error"]
    assert (error["type"], error["message"]) == (
        "invalid_input",
        "The request holds 9 answers to one prompt; send 8 at most.",
    )
    assert "query: is missing" in refused(judge, "/rerank", {"documents": ["a"]})["error"]["message"]


# text-embeddings-inference 1.9, docs/openapi.json: RerankRequest, PredictRequest, ErrorResponse
def test_tei_rerank(judge: TestClient) -> None:
    body = {"query": PROMPT, "texts": list(ANSWERS), "truncate": True, "truncation_direction": "Right", "return_text": True}
    rates = win_rates(judge, PROMPT, *ANSWERS)
    order = sorted(range(3), key=lambda at: -rates[at])
    answer = post(judge, "/rerank", body)
    assert answer == [{"index": at, "score": pytest.approx(rates[at]), "text": ANSWERS[at]} for at in order]
    raw = post(judge, "/rerank", {"query": PROMPT, "texts": list(ANSWERS), "raw_scores": True})
    assert raw == [{"index": at, "score": pytest.approx(log_odds(rates[at]))} for at in order]
    assert post(judge, "/rerank", {"query": PROMPT, "texts": []}) == []


def test_tei_errors_have_its_shape(judge: TestClient) -> None:
    sentence = "The request holds 9 answers to one prompt; send 8 at most."
    assert refused(judge, "/rerank", {"query": PROMPT, "texts": list("abcdefghi")}) == {
        "error": sentence,
        "error_type": "validation",
    }
    assert refused(judge, "/rerank", {"texts": ["a"]}) == {"error": "tei.query: is missing.", "error_type": "validation"}
    assert refused(judge, "/predict", {"inputs": ["a", "b", "c"]}) == {
        "error": "inputs.entries.0: Tuple should have at most 2 items after validation, not 3.",
        "error_type": "validation",
    }


def test_tei_predict(judge: TestClient) -> None:
    pair = (PROMPT, "plum is a fruit.")
    reward = pytest.approx(beats(judge, *pair, LONE_ANSWER_AGAINST))
    assert post(judge, "/predict", {"inputs": pair, "truncate": False}) == [{"label": "preferred", "score": reward}]
    alone = [{"label": "preferred", "score": pytest.approx(beats(judge, "", "plum is a fruit.", LONE_ANSWER_AGAINST))}]
    assert post(judge, "/predict", {"inputs": "plum is a fruit."}) == alone
    assert post(judge, "/predict", {"inputs": ["plum is a fruit."]}) == alone
    assert post(judge, "/predict", {"inputs": [pair, ["plum is a fruit."]]}) == [
        [{"label": "preferred", "score": reward}],
        alone,
    ]
    assert post(judge, "/predict", {"inputs": []}) == []


def test_tei_predict_raw_and_parted(judge: TestClient) -> None:
    body = {"inputs": [[f"{PROMPT} A: {text}"] for text in ANSWERS], "raw_scores": True}
    found = post(judge, "/predict?answer_after=A:", body)
    rates = win_rates(judge, f"{PROMPT} A:", *(" " + text for text in ANSWERS))
    assert [one[0]["score"] for one in found] == pytest.approx([log_odds(rate) for rate in rates])


# verl, experimental/reward_loop/reward_loop.py: /classify of a vLLM reward model; reads data[-1].probs[-1]
def test_verl_classifies_a_whole_text(judge: TestClient) -> None:
    text = f"<|im_start|>user\n{PROMPT}<|im_end|>\n<|im_start|>assistant\nplum is a fruit.<|im_end|>"
    body = {"model": "reward", "input": text, "use_activation": False}
    parted = post(judge, "/classify?answer_after=assistant%0A", body)["data"][-1]
    prompt = text.removesuffix("plum is a fruit.<|im_end|>")
    assert parted["probs"][-1] == pytest.approx(
        log_odds(beats(judge, prompt, "plum is a fruit.", LONE_ANSWER_AGAINST)), abs=1e-5
    )
    whole = post(judge, "/classify", body)["data"][-1]["probs"][-1]
    assert whole == pytest.approx(log_odds(beats(judge, "", text.removesuffix("<|im_end|>"), LONE_ANSWER_AGAINST)), abs=1e-5)


# vLLM 0.32, vllm/entrypoints/pooling/classify/protocol.py
def test_vllm_classify_of_texts_and_of_a_conversation(judge: TestClient) -> None:
    answer = post(judge, "/classify", {"model": "x", "input": list(ANSWERS[:2])})
    rates = [beats(judge, "", text, LONE_ANSWER_AGAINST) for text in ANSWERS[:2]]
    assert answer["data"] == [
        {"index": at, "label": "preferred", "probs": [pytest.approx(rate)], "num_classes": 1} for at, rate in enumerate(rates)
    ]
    turns = [{"role": "user", "content": PROMPT}, {"role": "assistant", "content": [{"type": "text", "text": ANSWERS[1]}]}]
    (found,) = post(judge, "/classify", {"messages": turns})["data"]
    assert found["probs"] == [pytest.approx(beats(judge, PROMPT, ANSWERS[1], LONE_ANSWER_AGAINST))]
    assert post(judge, "/classify", {"input": []})["data"] == []


def test_classify_of_what_it_cannot_read(judge: TestClient) -> None:
    last = {"messages": [{"role": "user", "content": "a"}]}
    assert refused(judge, "/classify", last)["error"]["message"] == (
        "The messages end with one of the user; the answer to judge must come last."
    )
    assert "input: is missing" in refused(judge, "/classify", {})["error"]["message"]
    assert (
        refused(judge, "/classify", {"input": [1]})["error"]["message"] == "input.0: Input should be a valid string (it is 1)."
    )


def test_half_a_surrogate_pair_is_refused_where_it_would_be_sent_back(judge: TestClient) -> None:
    body = '{"query": "a", "documents": ["b", "\\ud800"]}'
    response = judge.post("/rerank", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 422
    assert "holds half a surrogate pair at character 0; send valid Unicode" in response.json()["error"]["message"]
