"""`python -m sparring_judge` as a process: it serves, or ends with exit code 2 and one sentence."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
import torch
from safetensors.torch import load_file, save_file


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(**settings: str) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SPARRING_")}
    environment |= {f"SPARRING_JUDGE_{name.upper()}": value for name, value in settings.items()} | {"HF_HUB_OFFLINE": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "sparring_judge"], env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )


def refusal(**settings: str) -> str:
    """The last line on standard error of a start that must end with exit code 2."""
    process = start(**({"port": str(free_port()), "device": "cpu"} | settings))
    try:
        _, said = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 2, said
    assert "Traceback" not in said
    return said.splitlines()[-1]


def test_it_serves_and_ends_on_sigterm(small_judge: Path) -> None:
    port = free_port()
    process = start(model=str(small_judge), port=str(port), device="cpu")
    deadline = time.monotonic() + 120
    try:
        ready = False
        while not ready and time.monotonic() < deadline and process.poll() is None:
            try:
                ready = httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
            except httpx.TransportError:
                time.sleep(0.1)
        assert ready
        body = {"items": [{"prompt": "what is zinc?", "a": "a metal.", "b": "gold"}]}
        answer = httpx.post(f"http://127.0.0.1:{port}/v1/compare", json=body).json()
        assert answer["judge"]["name"] == "small-judge"
        assert 0 < answer["items"][0]["p_a"] < 1
        assert "in use" in refusal(model=str(small_judge), port=str(port))
        process.terminate()
        process.communicate(timeout=60)
    finally:
        process.kill()


def test_wrong_settings_end_it() -> None:
    assert refusal() == ("sparring: SPARRING_JUDGE_MODEL is not set; give a folder or a hub id such as llm-blender/PairRM-hf.")
    assert refusal(engine="gpt").startswith("sparring: SPARRING_JUDGE_ENGINE: Input should be 'pairrm' or 'fake'")
    assert refusal(engine="fake", threads="0").startswith("sparring: SPARRING_JUDGE_THREADS: Input should be greater")


def test_a_model_that_is_nowhere_ends_it() -> None:
    assert "There is no folder nobody/nothing" in refusal(model="nobody/nothing")


def test_a_folder_that_holds_no_judge_ends_it(tmp_path: Path, small_judge: Path) -> None:
    assert "holds no *.safetensors or pytorch_model.bin" in refusal(model=str(tmp_path))
    other = Path(shutil.copytree(small_judge, tmp_path / "other"))
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "hidden_act": "relu"}))
    assert "hidden_act: Input should be 'gelu'" in refusal(model=str(other))
    del config["source_prefix_id"]
    (other / "config.json").write_text(json.dumps(config))
    assert "is of neither llm-blender/PairRM (ranker_type) nor PairRM-hf" in refusal(model=str(other))


def test_weights_that_do_not_fit_end_it_after_it_served(tmp_path: Path, small_judge: Path) -> None:
    other = Path(shutil.copytree(small_judge, tmp_path / "other"))
    weights = load_file(other / "model.safetensors")
    weights["head_layer.4.bias"] = torch.tensor([float("nan")])
    weights["head_layer.1.weight"] = weights["head_layer.1.weight"][:, :-1].contiguous()
    save_file(weights, other / "model.safetensors")
    assert refusal(model=str(other)) == "sparring: The weights do not fit the config at head_hidden.weight (1 in all)."


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_device_that_is_not_there_ends_it(small_judge: Path) -> None:
    assert refusal(model=str(small_judge), device="cuda:1") == (
        "sparring: The device cuda:1 is wanted, but torch finds 0 of its kind; set auto or cpu."
    )


@pytest.mark.parametrize("missing", ["tokenizer.json", "config.json"])
def test_a_missing_file_ends_it(tmp_path: Path, small_judge: Path, missing: str) -> None:
    other = Path(shutil.copytree(small_judge, tmp_path / "other"))
    (other / missing).unlink()
    assert missing in refusal(model=str(other))
