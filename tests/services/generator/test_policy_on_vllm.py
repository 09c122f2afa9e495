"""The real server: its samples are the loaded policy's, its weights change without a restart, and nothing wrong gets in."""

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from generator_server import Checkpoints, Server
from random_llama import END, Checkpoint, answer_logprob
from skips import Skip, skip

from sparring_shared.artifacts import weights_digest
from sparring_shared.wire.generator import POLICY_HEADER, PolicyLoad, PolicyStatus

pytestmark = pytest.mark.timeout(600)  # the first test waits for the server, which a busy machine starts slowly

QUESTION = [{"role": "user", "content": "What is zinc?"}]
LONG_PROMPT = [3 + (7 * i * i + i) % 250 for i in range(300)]


def put(server: Server, checkpoint: Checkpoint, version: int = 1) -> httpx.Response:
    return server.http.put("/v1/policy", json=checkpoint.load(version).model_dump())


def loaded(server: Server, checkpoint: Checkpoint, version: int = 1) -> PolicyStatus:
    response = put(server, checkpoint, version)
    assert response.status_code == 200, response.text
    status = PolicyStatus.model_validate_json(response.content)
    assert (status.state, status.digest, status.version) == ("ready", checkpoint.digest, version)
    return status


def refused(response: httpx.Response, status: int, error_type: str, words: str) -> None:
    assert (response.status_code, response.json()["error"]["type"]) == (status, error_type), response.text
    assert words in response.json()["error"]["message"]


def candidates(server: Server, digest: str | None = None, **options: Any) -> httpx.Response:
    body = {"model": "policy", "messages": QUESTION, "n": 4, "temperature": 0.7, "top_p": 1.0, "max_tokens": 24, "seed": 7}
    body |= {"logprobs": True, "return_token_ids": True, **options}
    return server.http.post("/v1/chat/completions", json=body, headers={} if digest is None else {POLICY_HEADER: digest})


def assert_sampled_by(answer: dict[str, Any], checkpoint: Checkpoint) -> None:
    for choice in answer["choices"]:
        logprobs = [token["logprob"] for token in choice["logprobs"]["content"]]
        assert len(logprobs) == len(choice["token_ids"])
        expected = answer_logprob(checkpoint.folder, answer["prompt_token_ids"], choice["token_ids"])
        assert sum(logprobs) == pytest.approx(expected, abs=1e-3)


def next_token(server: Server) -> tuple[int, float]:
    body = {"model": "policy", "prompt": LONG_PROMPT, "max_tokens": 1, "temperature": 0, "logprobs": 0}
    response = server.http.post("/v1/completions", json=body | {"return_token_ids": True})
    assert response.status_code == 200, response.text
    choice = response.json()["choices"][0]
    return choice["token_ids"][0], choice["logprobs"]["token_logprobs"][0]


def error_of_next_token(server: Server, checkpoint: Checkpoint) -> float:
    token, logprob = next_token(server)
    return abs(logprob - answer_logprob(checkpoint.folder, LONG_PROMPT, [token]))


def test_candidates_carry_the_log_probs_of_the_policy_that_is_loaded(server: Server, checkpoints: Checkpoints) -> None:
    for version, checkpoint in enumerate([checkpoints.base, checkpoints.plain, checkpoints.probed, checkpoints.base]):
        loaded(server, checkpoint, version)
        response = candidates(server, checkpoint.digest)
        assert response.headers[POLICY_HEADER] == checkpoint.digest
        assert len(response.json()["choices"]) == 4
        assert_sampled_by(response.json(), checkpoint)


def test_an_answer_that_stops_ends_with_the_end_token_and_its_raw_log_prob(server: Server, checkpoints: Checkpoints) -> None:
    loaded(server, checkpoints.base)
    answer = candidates(server, logit_bias={str(END): 8}, temperature=1.3).json()
    stopped = [choice for choice in answer["choices"] if choice["finish_reason"] == "stop"]
    assert stopped
    assert all(choice["token_ids"][-1] == END for choice in stopped)
    assert_sampled_by(answer, checkpoints.base)


def test_choice_i_of_a_seed_is_the_only_choice_of_that_seed_plus_i(server: Server, checkpoints: Checkpoints) -> None:
    loaded(server, checkpoints.base)
    together = candidates(server, n=3, seed=7).json()["choices"]
    alone = [candidates(server, n=1, seed=7 + i).json()["choices"][0] for i in range(3)]
    assert [choice["token_ids"] for choice in together] == [choice["token_ids"] for choice in alone]


def test_a_stale_prefix_cache_would_be_seen_and_is_emptied(server: Server, checkpoints: Checkpoints) -> None:
    loaded(server, checkpoints.base)
    assert error_of_next_token(server, checkpoints.base) < 1e-3
    careless = server.http.post("/test/reload-without-reset", json={"path": str(checkpoints.plain.folder)})
    assert careless.status_code == 200
    assert error_of_next_token(server, checkpoints.plain) > 1e-2
    loaded(server, checkpoints.plain)
    assert error_of_next_token(server, checkpoints.plain) < 1e-3


def test_a_load_waits_for_the_samples_in_flight_and_none_mixes_two_policies(server: Server, checkpoints: Checkpoints) -> None:
    loaded(server, checkpoints.base)
    by_digest = {checkpoint.digest: checkpoint for checkpoint in (checkpoints.base, checkpoints.probed)}
    with ThreadPoolExecutor(13) as pool:
        asked = [pool.submit(candidates, server, max_tokens=96, seed=100 * i, ignore_eos=True) for i in range(6)]
        load = pool.submit(loaded, server, checkpoints.probed, 2)
        asked += [pool.submit(candidates, server, max_tokens=96, seed=100 * i, ignore_eos=True) for i in range(6, 12)]
        load.result()
    seen = {request.result().headers[POLICY_HEADER] for request in asked}
    assert seen <= by_digest.keys()
    for request in asked:
        assert_sampled_by(request.result().json(), by_digest[request.result().headers[POLICY_HEADER]])
    assert candidates(server).headers[POLICY_HEADER] == checkpoints.probed.digest


def test_probe_outcomes(server: Server, checkpoints: Checkpoints) -> None:
    loaded(server, checkpoints.base)
    probe = loaded(server, checkpoints.probed).probe
    assert probe is not None and probe.max_difference is not None
    assert (probe.outcome, probe.max_difference < 1e-3) == ("matched", True)
    loaded(server, checkpoints.plain)
    probe = loaded(server, checkpoints.base).probe  # seen when the server started
    assert probe is not None and probe.max_difference is not None
    assert (probe.outcome, probe.max_difference < 1e-3) == ("matched", True)


def test_the_same_policy_again_only_changes_its_number(server: Server, checkpoints: Checkpoints) -> None:
    probe = loaded(server, checkpoints.probed, 3).probe
    assert loaded(server, checkpoints.probed, 4).probe == probe
    assert server.http.get("/v1/policy").json()["version"] == 4


def test_a_sample_of_another_policy_is_refused(server: Server, checkpoints: Checkpoints) -> None:
    loaded(server, checkpoints.base)
    refused(candidates(server, checkpoints.plain.digest), 409, "policy_mismatch", checkpoints.plain.digest)
    body = {"model": "policy", "prompt": "zinc", "max_tokens": 1}
    headers = {POLICY_HEADER: "sha256:no"}
    refused(server.http.post("/v1/completions", json=body, headers=headers), 409, "policy_mismatch", "sha256:no")
    assert candidates(server, checkpoints.base.digest).status_code == 200


def test_what_does_not_fit_is_refused_and_changes_nothing(
    server: Server, checkpoints: Checkpoints, models_dir: Path, tmp_path: Path
) -> None:
    loaded(server, checkpoints.base)
    refused(put(server, checkpoints.wide), 422, "checkpoint_mismatch", "hidden_size is 128, but the running model has 64")
    wrong_digest = Checkpoint(checkpoints.plain.folder, "sha256:no")
    refused(put(server, wrong_digest), 422, "invalid_input", "not sha256:no")
    outside = shutil.copytree(checkpoints.plain.folder, tmp_path / "outside")
    refused(put(server, Checkpoint(outside, checkpoints.plain.digest)), 422, "invalid_input", "lies outside")
    refused(put(server, Checkpoint(models_dir / "none", "sha256:no")), 422, "invalid_input", "There is no folder")
    damaged = shutil.copytree(checkpoints.plain.folder, models_dir / "damaged")
    weights = bytearray((damaged / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (damaged / "model.safetensors").write_bytes(weights)
    refused(put(server, Checkpoint(damaged, checkpoints.plain.digest)), 422, "invalid_input", "model.safetensors differ")
    assert_sampled_by(candidates(server, checkpoints.base.digest).json(), checkpoints.base)


def test_a_bad_request_is_answered_in_the_house_shape(server: Server) -> None:
    refused(server.http.put("/v1/policy", json={"version": -1}), 422, "invalid_input", "digest: is missing")


def test_after_a_failed_probe_nothing_is_sampled_until_a_good_load(server: Server, checkpoints: Checkpoints) -> None:
    loaded(server, checkpoints.base)
    refused(put(server, checkpoints.wrong), 500, "broken", "log-probs differ by 0.01 nats")
    assert server.http.get("/v1/policy").json()["state"] == "failed"
    refused(server.http.get("/readyz"), 503, "unavailable", "did not load")
    refused(candidates(server), 503, "unavailable", "did not load")
    assert server.http.get("/healthz").status_code == 200
    loaded(server, checkpoints.plain)
    assert server.http.get("/readyz").status_code == 200
    assert_sampled_by(candidates(server, checkpoints.plain.digest).json(), checkpoints.plain)


def test_weights_that_did_not_change_are_not_taken_for_new(server: Server, checkpoints: Checkpoints, models_dir: Path) -> None:
    loaded(server, checkpoints.plain)
    same = shutil.copytree(checkpoints.plain.folder, models_dir / "same-weights")
    (same / "manifest.json").unlink()
    config = json.loads((same / "config.json").read_text())
    (same / "config.json").write_text(json.dumps(config | {"use_cache": False}))
    digest = weights_digest(same)
    assert digest != checkpoints.plain.digest
    response = server.http.put("/v1/policy", json=PolicyLoad(version=9, digest=digest, path=str(same)).model_dump())
    refused(response, 500, "broken", "the weights did not change")
    loaded(server, checkpoints.base)


@pytest.mark.parametrize("route", ["collective_rpc", "reset_prefix_cache", "sleep", "wake_up", "pause", "update_weights"])
def test_development_routes_do_not_exist(server: Server, route: str) -> None:
    assert server.http.post(f"/{route}").status_code == 404


def test_sleep_needs_a_gpu(server: Server) -> None:
    if server.http.post("/v1/policy/sleep").status_code == 200:
        skip(Skip.ONLY_WITHOUT_GPU)
    for route in ("sleep", "wake"):
        refused(server.http.post(f"/v1/policy/{route}"), 409, "conflict", "needs a CUDA GPU")


def test_vllms_own_routes_are_there(server: Server) -> None:
    assert server.http.get("/v1/models").json()["data"][0]["id"] == "policy"
    assert server.http.post("/tokenize", json={"model": "policy", "prompt": "zinc"}).json()["count"] == 4
    assert "vllm:prefix_cache_queries" in server.http.get("/metrics").text


def test_a_port_in_use_is_one_sentence(server: Server, checkpoints: Checkpoints) -> None:
    environment = {"SPARRING_GENERATOR_MODEL": str(checkpoints.base.folder), "SPARRING_GENERATOR_PORT": str(server.port)}
    ended = subprocess.run([sys.executable, "-m", "sparring_generator"], env=environment, capture_output=True, text=True)
    sentence = f"sparring: port {server.port} on 127.0.0.1 is in use; stop what listens there or set SPARRING_GENERATOR_PORT"
    assert (ended.returncode, ended.stderr) == (2, f"{sentence} to another.\n")
