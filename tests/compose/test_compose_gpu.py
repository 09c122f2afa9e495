"""The system on GPUs as far as a machine without one can tell: each service's own command line, in the images for the CPU."""

import json
import subprocess
from typing import Any

import pytest
from composed import GPU, ROOT, config, docker, image

pytestmark = pytest.mark.usefixtures("built")

GIVEN = {"SPARRING_TRAINER_PROCESSES": "4", "SPARRING_TRAINER_GPUS": "4,5,6,7", "SPARRING_JUDGE_GPUS": "3"}

# Read the settings of the environment as the service does, and have vLLM's own parser read what they mean.
VLLM_DRY_RUN = """
import json
from pathlib import Path
from sparring_generator.settings import read_settings, vllm_arguments
from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.utils.argparse_utils import FlexibleArgumentParser
settings = read_settings()
args = make_arg_parser(FlexibleArgumentParser()).parse_args(vllm_arguments(settings, Path(settings.model), cpu=False))
print(json.dumps([args.gpu_memory_utilization, args.enable_sleep_mode, args.host, args.port, args.model]))
"""

# The job's command line, read by accelerate's own parser.
ACCELERATE_DRY_RUN = """
import json
from pathlib import Path
from accelerate.commands.launch import launch_command_parser
from sparring_trainer.service.job_processes import command
from sparring_trainer.settings import TrainerSettings
line = command(Path("/sparring/runs/.trainer/job"), TrainerSettings())
args = launch_command_parser().parse_args(line[line.index("accelerate.commands.launch") + 1 :])
print(json.dumps([args.multi_gpu, args.num_processes, args.module, args.training_script]))
"""


def _gpu_service(name: str) -> dict[str, Any]:
    return config(GPU, {"SPARRING_VERSION": "test", **GIVEN})[name]


def _run(name: str, *command: str) -> subprocess.CompletedProcess[str]:
    """A command in the CPU image with the environment of the GPU service, which nothing but a GPU is missing from."""
    variables = {key: value for key, value in _gpu_service(name)["environment"].items() if value is not None}
    options = [word for key, value in variables.items() for word in ("--env", f"{key}={value}")]
    mount = f"{ROOT / 'models'}:/sparring/models:ro"
    writable = ("--read-only", "--tmpfs", "/tmp", "--volume", "/cache")
    line = ["docker", "run", "--rm", *writable, "--volume", mount, *options, f"sparring/{name}:test-cpu", *command]
    return subprocess.run(line, capture_output=True, text=True, timeout=180, check=False)


def test_the_gpu_image_of_the_generator_builds_on_an_image_of_vllm() -> None:
    built = image("sparring/generator:test-cuda")["Config"]
    assert (built["Cmd"], built["Entrypoint"], built["User"]) == (["python3", "-m", "sparring_generator"], None, "10001:10001")
    assert _gpu_service("generator")["image"] == "sparring/generator:test-cuda"
    known = docker(
        "run", "--rm", "sparring/generator:test-cuda", "python3", "-c", "import pyarrow, vllm, sparring_generator; print(1)"
    )
    assert known.splitlines()[-1] == "1"


def test_vllm_accepts_the_arguments_for_a_gpu() -> None:
    ended = _run("generator", "python3", "-c", VLLM_DRY_RUN)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout.splitlines()[-1]) == [0.4, True, "0.0.0.0", 8001, "models/demo-policy"]


def test_accelerate_accepts_the_command_of_a_job_on_four_gpus() -> None:
    ended = _run("trainer", "python", "-c", ACCELERATE_DRY_RUN)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout.splitlines()[-1]) == [True, 4, True, "sparring_trainer.job"]


def test_the_judge_wants_the_gpu_that_it_is_told_to_use() -> None:
    ended = _run("judge")
    assert ended.returncode == 2, ended.stderr
    assert "cuda" in ended.stderr.lower(), ended.stderr
