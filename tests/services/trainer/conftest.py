from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from trainer_world import Service, World, make_world

from sparring_trainer.service.app import create_app


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("trainer"))


@pytest.fixture
def service(world: World) -> Iterator[Service]:
    """Starts services over the same folders, as after a restart; at the end all of them are shut down."""
    opened: list[TestClient] = []

    def start(**changed: object) -> TestClient:
        client = TestClient(create_app(world.settings(**changed), world.folders))
        opened.append(client.__enter__())
        return client

    yield start
    for client in opened:
        client.__exit__(None, None, None)
