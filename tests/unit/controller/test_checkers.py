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
