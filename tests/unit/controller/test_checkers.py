from pathlib import Path

import pytest

from sparring_controller.rounds.checkers import find_checker
from sparring_shared.errors import InvalidInput


def test_the_demo_brings_its_checker_as_any_package_may() -> None:
    check = find_checker("small-world")
    assert check("Which of these is a fruit: saw, plum?", "Plum is a fruit.") == "right"
    assert check("Which of these is a fruit: saw, plum?", "Saw is a fruit.") == "wrong"


def test_a_checker_that_is_not_installed_is_named_beside_those_that_are() -> None:
    with pytest.raises(InvalidInput, match=r"the checker mine \(installed: small-world\)"):
        find_checker("mine")


@pytest.mark.parametrize("place", ["no_such_module:check", "json:nothing"])
def test_a_checker_that_cannot_be_loaded_is_wrong_input(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "mine-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text(f"[sparring.checkers]\nmine = {place}\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InvalidInput, match=f"evaluation.checker: mine is installed as {place}, which cannot be loaded"):
        find_checker("mine")
