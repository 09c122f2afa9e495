"""One real vLLM server on a random Llama for all tests of this folder: its start costs about a minute."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from generator_server import Checkpoints, Server, SharedServer, serving
from random_llama import publish_llama


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def checkpoints(models_dir: Path) -> Checkpoints:
    torch.set_num_threads(1)
    return Checkpoints(
        base=publish_llama(models_dir, "base", 1),
        plain=publish_llama(models_dir, "plain", 2),
        probed=publish_llama(models_dir, "probed", 3, probe=True),
        wrong=publish_llama(models_dir, "wrong", 4, probe=True, offset=0.01),
        wide=publish_llama(models_dir, "wide", 5, hidden=128),
        letters=publish_llama(models_dir, "letters", 6, letters=True),
    )


@pytest.fixture(scope="session")
def shared_server(
    checkpoints: Checkpoints, models_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SharedServer]:
    shared = SharedServer(lambda: serving(checkpoints.base, models_dir, tmp_path_factory.mktemp("generator") / "log"))
    yield shared
    shared.close()


@pytest.fixture
def server(shared_server: SharedServer) -> Server:
    return shared_server.server()
