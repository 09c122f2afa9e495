"""`python -m sparring_judge` as a process: it serves, or ends with exit code 2 and one sentence."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest
import torch
from ports import free_port
from safetensors.torch import load_file, save_file
from skips import Skip


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


def ready(process: subprocess.Popen[str], url: str) -> bool:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/readyz").status_code == 200:
                return True
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    return False


def test_it_serves_and_ends_on_sigterm(small_judge: Path) -> None:
    port = free_port()
    process = start(model=str(small_judge), port=str(port), device="cpu")
    url = f"http://127.0.0.1:{port}"
    try:
        assert ready(process, url)
        body = {"items": [{"prompt": "what is zinc?", "a": "a metal.", "b": "gold"}]}
        answer = httpx.post(f"{url}/v1/compare", json=body).json()
        assert answer["judge"]["name"] == "small-judge"
        assert 0 < answer["items"][0]["p_a"] < 1
        assert "in use" in refusal(model=str(small_judge), port=str(port))
        process.terminate()
        process.communicate(timeout=60)
        assert process.returncode in (0, -signal.SIGTERM)
    finally:
        process.kill()


def test_a_worker_process_that_dies_is_replaced_and_all_end_together(small_judge: Path) -> None:
    port = free_port()
    process = start(model=str(small_judge), port=str(port), device="cpu", workers="2", cache_entries="0")
    url = f"http://127.0.0.1:{port}"

    def workers() -> list[psutil.Process]:
        """The processes that compute; spawn keeps one more, which tracks resources."""
        return [child for child in psutil.Process(process.pid).children() if "spawn_main" in " ".join(child.cmdline())]

    try:
        assert ready(process, url)
        first = workers()
        assert len(first) == 2
        body = {"items": [{"prompt": "what is zinc?", "candidates": ["a metal.", "gold", "yes", "no"]}]}
        (before,) = httpx.post(f"{url}/v1/rank", json=body, timeout=60).json()["items"]
        for worker in first:
            worker.kill()
        (after,) = httpx.post(f"{url}/v1/rank", json=body, timeout=60).json()["items"]
        assert after["scores"] == pytest.approx(before["scores"], abs=1e-5)
        replaced = workers()
        assert not {worker.pid for worker in replaced} & {worker.pid for worker in first}
        process.kill()
        process.wait(60)
        assert psutil.wait_procs(replaced, timeout=60)[1] == []
    finally:
        process.kill()


def test_wrong_settings_end_it() -> None:
    assert refusal() == ("sparring: SPARRING_JUDGE_MODEL is not set; give a folder or a hub id such as llm-blender/PairRM-hf.")
    assert refusal(engine="gpt").startswith(
        "sparring: SPARRING_JUDGE_ENGINE: Input should be 'pairrm', 'llm-blender', 'pair-lm'"
    )
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


@pytest.mark.skipif(torch.cuda.is_available(), reason=Skip.ONLY_WITHOUT_GPU)
def test_a_device_that_is_not_there_ends_it(small_judge: Path) -> None:
    assert refusal(model=str(small_judge), device="cuda:1") == (
        "sparring: The device cuda:1 is wanted, but torch finds 0 of its kind; set auto or cpu."
    )


@pytest.mark.parametrize("missing", ["tokenizer.json", "config.json"])
def test_a_missing_file_ends_it(tmp_path: Path, small_judge: Path, missing: str) -> None:
    other = Path(shutil.copytree(small_judge, tmp_path / "other"))
    (other / missing).unlink()
    assert missing in refusal(model=str(other))
