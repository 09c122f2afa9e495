from pathlib import Path

import pytest
from manifests import Rendered, render


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    """What each way to deploy sends: `cpu`, `gpu`, and `all`, which is gpu with every component."""
    folder: Path = tmp_path_factory.mktemp("kubernetes")
    return {
        "cpu": render(folder, "cpu"),
        "gpu": render(folder, "gpu"),
        "all": render(folder, "gpu", ("keda", "machines")),
    }
