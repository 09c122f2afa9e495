from typing import Any

import pytest
from rows import CONFIG

from sparring_controller.store.config_versions import UPGRADES, newest, upgraded
from sparring_shared.errors import InvalidInput


def renamed(config: dict[str, Any]) -> dict[str, Any]:
    return {"eta" if key == "beta" else key: value for key, value in config.items()}


def doubled(config: dict[str, Any]) -> dict[str, Any]:
    return config | {"eta": 2 * config["eta"]}


@pytest.mark.parametrize(
    ("config", "version", "expected"),
    [({"beta": 3, "k": 5}, 1, {"eta": 6, "k": 5}), ({"eta": 3}, 2, {"eta": 6}), ({"eta": 3}, 3, {"eta": 3})],
)
def test_a_config_is_upgraded_from_its_version_on(config: dict[str, Any], version: int, expected: dict[str, Any]) -> None:
    assert newest((renamed, doubled)) == 3
    assert upgraded(config, version, (renamed, doubled)) == expected


def test_a_config_of_a_newer_version_is_refused() -> None:
    with pytest.raises(InvalidInput, match="its config is of version 4, and this Sparring knows those up to 3"):
        upgraded({}, 4, (renamed, doubled))


def test_a_config_that_is_stored_now_is_read_as_it_is() -> None:
    stored = CONFIG.model_dump(mode="json")
    assert upgraded(stored, newest()) == stored
    assert len(UPGRADES) + 1 == newest()
