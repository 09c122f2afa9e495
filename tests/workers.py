"""How several workers (pytest-xdist) share the tests; imported only where there are several."""

from collections.abc import Sequence

from xdist.scheduler import LoadScopeScheduling

TESTS = "tests/"
# One worker runs all of such a folder or file: what its tests share takes long to start.
TOGETHER = ("services/generator/", "contract/", "deploy/", "services/trainer/test_trainer_jobs")


def scope(nodeid: str, together: Sequence[str] = TOGETHER) -> str:
    """what one worker runs in a row: such a folder or file, else a single test."""
    return next((folder for folder in together if nodeid.startswith(TESTS + folder)), nodeid)


class Scheduling(LoadScopeScheduling):
    """A free worker gets the next scope. (xdist's own `loadgroup` does not group under pytest 9.2.)"""

    def _split_scope(self, nodeid: str) -> str:
        return scope(nodeid)
