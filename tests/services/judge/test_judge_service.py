"""The real application with the real engine on a random model."""

# ruff: noqa: RUF001 wide signs that NFKC turns into tags are what is tested

import json
import math
import threading
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from judge_golden import Golden
from small_judge import loaded_client, wait_until_ready

from sparring_judge.engines.by_name import load_engine
from sparring_judge.engines.engine import Engine
from sparring_judge.queue.background_judge import BackgroundJudge
from sparring_judge.service.app import create_app
from sparring_judge.settings import JudgeSettings
from sparring_shared.artifacts import weights_digest

ITEM = {"prompt": "what is zinc?", "candidates": ["a metal.", "gold", "the answer is yes"]}


def rank(client: TestClient, *items: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    response = client.post("/v1/rank", json={"items": list(items), **more})
    assert response.status_code == 200, response.text
    return response.json()["items"]


def refused(client: TestClient, path: str, body: Any) -> str:
    response = client.post(path, json=body)
    assert response.status_code == 422
    assert response.json()["error"]["type"] == "invalid_input"
    return response.json()["error"]["message"]


def test_info_names_the_judge_and_its_limits(client: TestClient, small_judge: Path) -> None:
    assert client.get("/v1/judge").json() == {
        "name": "small-judge",
        "revision": weights_digest(small_judge),
        "engine": "pairrm",
        "device": "cpu",
        "note": None,
        "limits": {
            "max_items": 8,
            "max_candidates": 6,
            "max_passes": 65_536,
            "max_body_bytes": 100_000,
            "source_max_tokens": 1224,
            "candidate_max_tokens": 412,
        },
    }


def test_rank_answers_item_for_item(client: TestClient) -> None:
    first, second = rank(client, ITEM, {"prompt": "yes?", "candidates": ["yes", "no"]})
    assert [len(row) for row in first["logits"]] == [3, 3, 3]
    assert [first["logits"][i][i] for i in range(3)] == [0, 0, 0]
    assert first["probs"][0][1] + first["probs"][1][0] == pytest.approx(1)
    assert sum(first["scores"]) == pytest.approx(0)
    assert sorted(first["ranks"]) == [1, 2, 3]
    assert len(second["win_rates"]) == 2
    assert second["truncated"] == [False, False]


def test_compare_is_rank_of_two(client: TestClient) -> None:
    (ranked,) = rank(client, {"prompt": "what is zinc?", "candidates": ["a metal.", "gold"]})
    response = client.post("/v1/compare", json={"items": [{"prompt": "what is zinc?", "a": "a metal.", "b": "gold"}]})
    assert response.json()["items"] == [
        {
            "p_a": ranked["probs"][0][1],
            "logit_ab": ranked["logits"][0][1],
            "logit_ba": ranked["logits"][1][0],
            "truncated": [False, False],
            "tokens": ranked["tokens"],
            "prompt_truncated": False,
            "prompt_tokens": ranked["prompt_tokens"],
            "position_bias": ranked["position_bias"],
            "position_consistent": (ranked["logits"][0][1] > 0) == (ranked["logits"][1][0] < 0),
            "passes": 2,
            "cache_hits": 2,
        }
    ]


def test_the_estimator_of_compare(client: TestClient) -> None:
    body = {"items": [{"prompt": "what is zinc?", "a": "a metal.", "b": "gold"}], "estimator": "official"}
    (official,) = client.post("/v1/compare", json=body).json()["items"]
    difference = official["logit_ab"] - official["logit_ba"]
    assert official["p_a"] == pytest.approx(1 / (1 + math.exp(-difference)))


def test_the_estimators_differ_in_probs_alone(client: TestClient) -> None:
    (pairwise,), (official,) = rank(client, ITEM), rank(client, ITEM, estimator="official")
    assert official["logits"] == pairwise["logits"]
    assert official["scores"] == pairwise["scores"]
    assert official["probs"] != pairwise["probs"]


def test_pairs_limit_the_work_to_both_orders_of_each(client: TestClient) -> None:
    (whole,), (part,) = rank(client, ITEM), rank(client, {**ITEM, "pairs": [[2, 0]]})
    assert part["logits"][1] == [None, 0, None]
    assert part["logits"][0][2] == pytest.approx(whole["logits"][0][2], abs=1e-5)
    assert part["logits"][2][0] == pytest.approx(whole["logits"][2][0], abs=1e-5)
    assert part["probs"][2][0] == pytest.approx(whole["probs"][2][0], abs=1e-5)
    assert (part["win_rates"], part["scores"], part["ranks"]) == (None, None, None)


def test_equal_candidates_tie(client: TestClient) -> None:
    (found,) = rank(client, {"prompt": "yes?", "candidates": ["yes", "no", "yes"]})
    assert found["probs"][0][2] == 0.5
    assert found["ranks"][0] == found["ranks"][2]
    assert found["logits"][0][1] == found["logits"][2][1]


def test_messages_of_one_user_turn_are_its_text(client: TestClient) -> None:
    (text,), (messages,) = rank(client, ITEM), rank(client, {**ITEM, "prompt": [{"role": "user", "content": ITEM["prompt"]}]})
    assert {**text, "cache_hits": 6} == messages


@pytest.mark.parametrize("tag", ["<|source|>", "<|candidate|>", "<|candidate1|>", "<|candidate2|>", "＜|source|＞"])
def test_a_tag_in_a_text_is_plain_text(client: TestClient, tag: str) -> None:
    (found,) = rank(client, {"prompt": f"a {tag} b", "candidates": [f"{tag} yes", f"no {tag}"]})
    assert "logits" in found


@pytest.mark.parametrize("text", ["a\0b", "\0", "[CLS] [SEP] [MASK] [PAD]", "a" * 40_000, "\u202e\ufeff", "\r\n\t"])
def test_any_text_is_judged(client: TestClient, text: str) -> None:
    prompt, candidate = rank(
        client, {"prompt": text, "candidates": ["yes", "no"]}, {"prompt": "yes?", "candidates": [text, "no"]}
    )
    assert all(math.isfinite(item["logits"][0][1]) for item in (prompt, candidate))
    assert candidate["truncated"] == [len(text) == 40_000, False]


def test_a_lone_candidate_is_judged_without_a_pass(client: TestClient) -> None:
    (found,) = rank(client, {"prompt": "yes?", "candidates": ["yes"]})
    assert (found["win_rates"], found["scores"], found["ranks"], found["passes"]) == ([0.5], [0], [1], 0)


def test_what_was_computed_is_not_computed_again(client: TestClient) -> None:
    item = {"prompt": "is gold a metal?", "candidates": ["yes yes", "no no"]}
    (first,), (second,) = rank(client, item), rank(client, item)
    assert (first["passes"], first["cache_hits"]) == (2, 0)
    assert second == {**first, "cache_hits": 2}


def test_texts_that_differ_beyond_the_cut_are_the_same(client: TestClient) -> None:
    (first,) = rank(client, {"prompt": "is it?", "candidates": ["yes " * 2000 + "zinc", "gold"]})
    (second,) = rank(client, {"prompt": "is it?", "candidates": ["yes " * 2000 + "gold", "gold"]})
    assert (second["logits"], second["cache_hits"]) == (first["logits"], 2)


def test_results_as_lines(client: TestClient) -> None:
    bad = {**ITEM, "pairs": [[0, 3]]}
    body = {"items": [ITEM, bad, {"prompt": "yes?", "candidates": ["yes", "no"]}]}
    answer = client.post("/v1/rank", json=body, headers={"accept": "application/x-ndjson"})
    assert answer.headers["content-type"] == "application/x-ndjson"
    first, *lines = [json.loads(line) for line in answer.text.splitlines()]
    whole = client.post("/v1/rank", json=body).json()
    assert first == {"judge": whole["judge"]}
    assert [line["index"] for line in lines] == [0, 1, 2]
    assert [line["item"].get("scores") for line in lines] == [item.get("scores") for item in whole["items"]]
    assert lines[1]["item"]["error"]["type"] == "invalid_input"
    compared = {"items": [{"prompt": "what?", "a": "yes", "b": "no"}]}
    answer = client.post("/v1/compare", json=compared, headers={"accept": "application/x-ndjson"})
    assert 0 < json.loads(answer.text.splitlines()[1])["item"]["p_a"] < 1


def test_a_request_that_is_refused_streams_nothing(client: TestClient) -> None:
    answer = client.post("/v1/rank", json={"items": [ITEM] * 9}, headers={"accept": "application/x-ndjson"})
    assert (answer.status_code, answer.json()["error"]["type"]) == (422, "invalid_input")


def test_empty_texts_are_judged(client: TestClient) -> None:
    (found,) = rank(client, {"prompt": "", "candidates": ["", "  \n", "yes"]})
    assert found["probs"][0][1] == 0.5


def test_long_candidates_are_cut_and_say_so(client: TestClient) -> None:
    (found,) = rank(client, {"prompt": "yes?", "candidates": ["yes " * 3000, "no"]})
    assert (found["truncated"], found["tokens"]) == ([True, False], [3000, 1])
    assert (found["prompt_truncated"], found["prompt_tokens"]) == (False, 2)


def test_a_bad_item_leaves_its_neighbours_alone(client: TestClient) -> None:
    bad = [
        {"prompt": "yes?", "candidates": ["half \ud800 pair", "no"]},
        {**ITEM, "pairs": [[0, 3]]},
        {**ITEM, "prompt": [{"role": "assistant", "content": "I end"}]},
        {**ITEM, "candidates": []},
        {**ITEM, "candidates": ["x"] * 33},
    ]
    body = json.dumps({"items": [bad[0], ITEM, *bad[1:]]})
    answer = client.post("/v1/rank", content=body, headers={"content-type": "application/json"})
    first, good, *others = answer.json()["items"]
    assert first["error"]["message"] == "A text holds half a surrogate pair at character 5; send valid Unicode."
    assert [other["error"]["message"] for other in others] == [
        "The pair [0, 3] does not name two different candidates of 0 to 2.",
        "The prompt ends with a message of the assistant; it must end with one of the user.",
        "The item holds 0 candidates; send 1 to 6.",
        "The item holds 33 candidates; send 1 to 6.",
    ]
    assert good["scores"] == pytest.approx(rank(client, ITEM)[0]["scores"], abs=1e-5)


def test_what_does_not_fit_is_refused_with_one_sentence(client: TestClient) -> None:
    assert refused(client, "/v1/rank", {"items": []}).startswith("items: Tuple should have at least 1 item")
    assert refused(client, "/v1/rank", {"items": [{**ITEM, "candidates": ["x"] * 7}]}) == (
        "items.0: The item holds 7 candidates; send 1 to 6."
    )
    assert refused(client, "/v1/rank", {"items": [ITEM] * 9}) == "The request holds 9 items; send 8 at most."
    assert refused(client, "/v1/rank", {"items": [ITEM], "extra": 1}) == ("extra: no such key; remove it or correct its name.")
    assert "items.0.b: is missing" in refused(client, "/v1/compare", {"items": [{"prompt": "x", "a": "y"}]})


def test_a_body_over_the_limit_is_413(client: TestClient) -> None:
    response = client.post("/v1/rank", json={"items": [{"prompt": "x" * 100_001, "candidates": ["a", "b"]}]})
    assert (response.status_code, response.json()["error"]["type"]) == (413, "too_large")


def test_metrics_count_pairs(client: TestClient) -> None:
    def pairs() -> float:
        lines = client.get("/metrics").text.splitlines()
        return float(next(line for line in lines if line.startswith("sparring_judge_pairs_total")).split()[1])

    before = pairs()
    rank(client, {"prompt": "a metal?", "candidates": ["yes", "no", "yes"]})
    assert pairs() - before == 3  # yes-no, no-yes, yes-yes: equal texts are computed once


def test_a_judge_that_loads_is_alive_and_not_ready() -> None:
    go = threading.Event()
    settings = JudgeSettings(engine="fake")

    def load() -> Engine:
        go.wait(30)
        return load_engine(settings)

    with TestClient(create_app(settings, BackgroundJudge(load, settings))) as client:
        assert client.get("/healthz").status_code == 200
        waiting = client.get("/readyz")
        assert (waiting.status_code, waiting.json()["error"]["type"]) == (503, "unavailable")
        assert client.post("/v1/rank", json={"items": [ITEM]}).status_code == 503
        assert client.get("/v1/judge").status_code == 503
        go.set()
        wait_until_ready(client)
        assert client.post("/v1/rank", json={"items": [ITEM]}).json()["judge"] == {"name": "fake", "revision": "crc32"}


def test_llm_blenders_numbers_over_http_alone_and_in_one_mixed_request(golden: Golden) -> None:
    groups = [golden.groups[name] for name in ("basic_k5", "k2", "k1", "edge", "long_cand", "long_source", "batch_effect")]
    items = [
        {"prompt": p, "candidates": c} for group in groups for p, c in zip(group["inputs"], group["candidates"], strict=True)
    ]
    logits = [matrix for group in groups for matrix in group["logit_matrix_bs1"]]
    ranks = [ranks for group in groups for ranks in group["ranks_bs1"]]
    scores = [scores for group in groups for scores in group["rank_scores_bs1"]]
    settings = JudgeSettings(model=golden.checkpoints["pairrm_hf"], device="cpu", cache_entries=0)
    with loaded_client(settings) as client:
        wait_until_ready(client)
        mixed, alone = rank(client, *items), [rank(client, item)[0] for item in items]
    for found in (mixed, alone):
        for one, matrix, places, wanted in zip(found, logits, ranks, scores, strict=True):
            assert [row for line in one["logits"] for row in line] == pytest.approx(
                [row for line in matrix for row in line], abs=1e-4
            )
            assert one["scores"] == pytest.approx(wanted, abs=1e-4)
            assert list(one["ranks"]) == places
