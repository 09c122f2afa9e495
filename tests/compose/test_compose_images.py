"""The images: how large they are, whom they run as, and what they do not hold."""

import json
import os

import pytest
from composed import docker, image

pytestmark = pytest.mark.usefixtures("built")

# Megabytes; the generator has no limit of its own, vLLM is what it is.
LIMITS = {"controller:test": 250, "judge:test-cpu": 1600, "trainer:test-cpu": 1600, "generator:test-cpu": 4000}
PORTS = {"controller:test": "8000", "generator:test-cpu": "8001", "judge:test-cpu": "8002", "trainer:test-cpu": "8003"}


def test_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = {name: image(f"sparring/{name}")["Size"] / 1e6 for name in LIMITS}
    # The controller has no distribution below it; the others stand on the image of Python.
    base = image(os.environ["SPARRING_PYTHON_IMAGE"])["Size"] / 1e6
    below = {name: 0.0 if name.startswith("controller") else base for name in LIMITS}
    rows = [
        f"| {name} | {size:.0f} | {below[name]:.0f} | {size - below[name]:.0f} | {LIMITS[name]} |"
        for name, size in sizes.items()
    ]
    with capsys.disabled():
        print("\n| image | MB | of it the base | ours | limit |\n|---|---:|---:|---:|---:|", *rows, sep="\n")
    assert {name: size < LIMITS[name] for name, size in sizes.items()} == dict.fromkeys(LIMITS, True)


@pytest.mark.parametrize("name", PORTS)
def test_an_image_says_what_it_is_and_holds_no_secrets(name: str) -> None:
    found = image(f"sparring/{name}")["Config"]
    assert found["User"] == "10001:10001"
    assert found["StopSignal"] == "SIGTERM"
    assert f"127.0.0.1:{PORTS[name]}/readyz" in found["Healthcheck"]["Test"][-1]
    assert found["Labels"]["org.opencontainers.image.title"] == f"sparring/{name.partition(':')[0]}"
    assert found["Labels"]["org.opencontainers.image.version"] == "test"
    variables = {variable.partition("=")[0] for variable in found["Env"]}
    assert not {item for item in variables if item.startswith(("PIP_", "UV_", "SSL_")) or "TOKEN" in item or "PASSWORD" in item}


def test_the_controller_has_nothing_that_it_does_not_run() -> None:
    listing = "import shutil; print([name for name in ('sh', 'bash', 'apt-get', 'pip', 'gcc') if shutil.which(name)])"
    assert docker("run", "--rm", "sparring/controller:test", "python", "-c", listing) == "[]\n"


@pytest.mark.parametrize(
    ("name", "modules"),
    [
        (
            "controller:test",
            "sparring_controller.__main__, sparring_controller.api.app, psycopg, pyarrow.parquet, numpy.linalg",
        ),
        ("judge:test-cpu", "sparring_judge.engines.pairrm.engine, sparring_judge.service.app"),
        ("trainer:test-cpu", "sparring_trainer.job.training, transformers.trainer, accelerate.commands.launch, scipy.optimize"),
    ],
)
def test_nothing_that_is_imported_was_pruned(name: str, modules: str) -> None:
    command = f"import json, {modules}; print(json.dumps('imported'))"
    told = docker("run", "--rm", "--read-only", "--tmpfs", "/tmp", f"sparring/{name}", "python", "-c", command)
    assert json.loads(told.splitlines()[-1]) == "imported"
