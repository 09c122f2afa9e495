"""What the container stage finds out about a machine before it builds."""

import os
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture
def wheels(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(SCRIPTS)
    return import_module("containers.wheels")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(SCRIPTS)
    return import_module("containers.engine")


def test_builders_are_given_the_folder_that_pip_looks_into(wheels: Any, tmp_path: Path) -> None:
    assert wheels.wheels_folder("global.cert='/a.pem'\n:env:.find-links=''\n") is None
    assert wheels.wheels_folder(f"global.find-links='{tmp_path}'\n") == tmp_path
    assert wheels.wheels_folder(f"global.find-links='/other'\n:env:.find-links='file://{tmp_path}'\n") == tmp_path


@pytest.mark.parametrize("place", ["https://wheels.example/", "/nowhere", "/tmp /var"])
def test_what_they_cannot_be_given_is_told(wheels: Any, place: str) -> None:
    with pytest.raises(Exception) as caught:
        wheels.wheels_folder(f"global.find-links='{place}'\n")
    assert str(caught.value) == (
        f"pip looks for wheels in {place}, which builders cannot be given; have PIP_FIND_LINKS name one folder."
    )


def test_a_pip_that_is_not_there_is_told(wheels: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wheels").mkdir()
    pip, docker = tmp_path / "pip", tmp_path / "docker"
    pip.write_text(f"#!/bin/sh\necho \"global.find-links='{tmp_path}/wheels'\"\n")
    docker.write_text("#!/bin/sh\nexit 0\n")
    for program in (pip, docker):
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert wheels.wheels_image(pip) == {"SPARRING_WHEELS_IMAGE": "sparring-stand-in/wheels"}
    with pytest.raises(Exception, match=r"none does not run, so it cannot say where it looks for wheels"):
        wheels.wheels_image(tmp_path / "none")


def programs(folder: Path, **ends: int) -> str:
    """A PATH with nothing on it but these programs, which end at once with that exit code."""
    for name, code in ends.items():
        (folder / name.replace("_", "-")).write_text(f"#!/bin/sh\nexit {code}\n")
        (folder / name.replace("_", "-")).chmod(0o755)
    return str(folder)


@pytest.mark.parametrize(
    ("user", "ends", "reason"),
    [
        (1000, {"docker": 0}, None),
        (1000, {"docker": 1, "apt_get": 0, "unshare": 0}, "only root can install and start one"),
        (0, {"docker": 1, "unshare": 0}, "there is no apt-get to install one with"),
        (0, {"apt_get": 0, "unshare": 1}, "this process may not make the namespaces that one needs"),
        (0, {"apt_get": 0, "unshare": 0}, None),
        (0, {"dockerd": 0, "mmdebstrap": 0, "unshare": 0}, None),
    ],
)
def test_where_an_engine_can_be_had(
    engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: int, ends: dict[str, int], reason: str | None
) -> None:
    monkeypatch.setenv("PATH", programs(tmp_path, **ends))
    monkeypatch.setattr("os.geteuid", lambda: user)
    monkeypatch.setattr(engine, "_SOURCES", SCRIPTS / "compose_test.py")  # any file that is there, as on Debian
    found = engine.why_none()
    assert (found is None) == (reason is None)
    assert reason is None or reason in found


def test_no_engine_is_installed_where_compose_could_not_be_had(
    engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", programs(tmp_path, apt_get=0, unshare=0))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(engine, "_SOURCES", tmp_path / "none")
    assert engine.why_none() == "`docker compose` (version 2) is not installed, and it can be fetched on Debian only."
    programs(tmp_path, docker=0)
    (tmp_path / "docker").write_text("#!/bin/sh\ntest $1 = compose\n")
    assert engine.why_none() is None
