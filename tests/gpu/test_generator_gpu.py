"""The generator in bf16: what it says of its samples is what the policy says in fp32, also after another policy was loaded."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from skips import Skip, because, skip

NO_VLLM = because(Skip.NOT_FOR_THIS_MACHINE, "vLLM is not installed")
pytestmark = [
    pytest.mark.skipif(find_spec("vllm") is None, reason=NO_VLLM),
    pytest.mark.skipif("SPARRING_GPU_TEST" not in os.environ, reason=because(Skip.OTHER_STAGE, "make gpu-test")),
]

MEAN_GAP, LARGEST_GAP = 0.05, 1.0
"""In nats per token. A tight bound on the largest of many would fail by chance in 16 bits."""


def gaps(answer: dict[str, Any], folder: Path) -> list[float]:
    """How far each token's log-prob is from that of the folder's policy in fp32."""
    from random_llama import token_logprobs

    prompt = answer["prompt_token_ids"]
    found: list[float] = []
    for choice in answer["choices"]:
        exact = token_logprobs(folder, (*prompt, *choice["token_ids"]))[len(prompt) - 1 :]
        said = [token["logprob"] for token in choice["logprobs"]["content"]]
        found += [abs(one - other) for one, other in zip(said, exact, strict=True)]
    return found


def test_log_probs_in_bf16_are_those_of_the_loaded_policy_in_fp32(
    device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from generator_server import serving
    from random_llama import publish_llama

    if device == "cpu" and torch.cuda.is_available():
        skip(Skip.ONLY_WITHOUT_GPU, "vLLM takes it")
    base, other = (publish_llama(tmp_path, name, seed, probe=True) for name, seed in (("base", 1), ("other", 2)))
    body = {"model": "policy", "messages": [{"role": "user", "content": "What is zinc?"}], "n": 4, "max_tokens": 24, "seed": 7}
    body |= {"temperature": 0.7, "top_p": 1.0, "logprobs": True, "return_token_ids": True}
    monkeypatch.setenv("SPARRING_GENERATOR_PROBE_TOLERANCE", str(LARGEST_GAP))
    with serving(base, tmp_path, tmp_path / "log", dtype="bfloat16") as server:
        for version, checkpoint in enumerate((base, other, base)):
            loaded = server.http.put("/v1/policy", json=checkpoint.load(version).model_dump())
            assert loaded.status_code == 200, loaded.text
            answer = server.http.post("/v1/chat/completions", json=body).json()
            found = gaps(answer, checkpoint.folder)
            assert (sum(found) / len(found) < MEAN_GAP, max(found) < LARGEST_GAP) == (True, True), found
