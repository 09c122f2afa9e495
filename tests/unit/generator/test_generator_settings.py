import os
import subprocess
import sys
from pathlib import Path

import pytest

from sparring_generator.settings import GeneratorSettings, vllm_arguments, vllm_environment


def test_what_the_settings_mean_to_vllm_without_a_gpu() -> None:
    settings = GeneratorSettings(model="m", port=9, max_model_len=64, extra_args="--seed 3", kv_cache_gib=2)
    assert vllm_arguments(settings, Path("/m"), cpu=True) == [
        *("--model", "/m", "--served-model-name", "policy", "--host", "127.0.0.1", "--port", "9", "--dtype", "float32"),
        *("--middleware", "sparring_generator.sampling.OnePolicyPerAnswer"),
        *("--worker-extension-cls", "sparring_generator.tied_head.TiedHead"),
        *("--generation-config", "vllm", "--logprobs-mode", "raw_logprobs", "--max-model-len", "64"),
        *("--enforce-eager", "--no-enable-chunked-prefill", "--seed", "3"),
    ]
    environment = vllm_environment(settings, cpu=True)
    assert (environment["VLLM_TARGET_DEVICE"], environment["VLLM_CPU_KVCACHE_SPACE"]) == ("cpu", "2")
    assert environment["VLLM_SERVER_DEV_MODE"] == "0"
    assert environment["TORCHDYNAMO_DISABLE"] == "1"


def test_what_they_mean_with_one() -> None:
    settings = GeneratorSettings(model="m", trust_remote_code=True)
    arguments = vllm_arguments(settings, Path("/m"), cpu=False)
    assert arguments[arguments.index("--dtype") + 1] == "auto"
    assert arguments[-2:] == ["--trust-remote-code", "--enable-sleep-mode"]
    assert not {"VLLM_TARGET_DEVICE", "TORCHDYNAMO_DISABLE"} & vllm_environment(settings, cpu=False).keys()


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({}, "SPARRING_GENERATOR_MODEL: is missing."),
        (
            {"MODEL": "/no/such"},
            "there is no folder /no/such; set SPARRING_GENERATOR_MODEL to a checkpoint folder or a hub id.",
        ),
        ({"MODEL": "m", "EXTRA_ARGS": "'"}, 'SPARRING_GENERATOR_EXTRA_ARGS: No closing quotation (it is "\'").'),
    ],
)
def test_wrong_settings_end_in_one_sentence_before_anything_heavy(variables: dict[str, str], sentence: str) -> None:
    environment = {"PATH": os.environ["PATH"]} | {f"SPARRING_GENERATOR_{name}": value for name, value in variables.items()}
    ended = subprocess.run([sys.executable, "-m", "sparring_generator"], env=environment, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (2, f"sparring: {sentence}\n")


def test_a_folder_without_weights_is_named(tmp_path: Path) -> None:
    environment = {"SPARRING_GENERATOR_MODEL": str(tmp_path)}
    ended = subprocess.run([sys.executable, "-m", "sparring_generator"], env=environment, capture_output=True, text=True)
    sentence = f"sparring: {tmp_path} holds no *.safetensors file; give the folder of a Hugging Face checkpoint.\n"
    assert (ended.returncode, ended.stderr) == (2, sentence)
