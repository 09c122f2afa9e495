"""Exact checkers of answers, which the judge never sees: any installed package may bring one, under `sparring.checkers`."""

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Final, TypeAlias

from sparring_shared.errors import InvalidInput

GROUP: Final = "sparring.checkers"
RIGHT: Final = "right"

Checker: TypeAlias = Callable[[str, str], str]
"""(last message of the prompt, answer) -> verdict, a word such as `right`. Raises ValueError for a prompt not of its kind."""


def find_checker(name: str) -> Checker:
    """The checker of that name. Raises InvalidInput if no installed package brings it, or one that cannot be loaded."""
    installed = entry_points(group=GROUP)
    if name not in installed.names:
        known = ", ".join(sorted(installed.names)) or "none"
        raise InvalidInput(
            f"evaluation.checker: no installed package brings the checker {name} (installed: {known}); leave it out, or "
            f"install one with an entry point of the group {GROUP}."
        )
    try:
        return installed[name].load()
    except (ImportError, AttributeError) as error:
        place = installed[name].value
        raise InvalidInput(
            f"evaluation.checker: {name} is installed as {place}, which cannot be loaded ({error}); mend that package, or "
            "leave the checker out."
        ) from None
