"""The settings with which the services of a runs folder run, or would run."""

import os
from typing import Any

from sparring_controller.local.redis_server import started_redis
from sparring_controller.local.services import LocalServices
from sparring_controller.settings import ControllerSettings, read_settings

_NONE_YET = "redis://127.0.0.1:6379/0"


def redis_here(local: LocalServices) -> str | None:
    """The operator's Redis, or the one that `sparring up` started; None when none was named and none is running."""
    started = started_redis(local.processes.folder / "redis") if local.processes.supervised() else None
    return os.environ.get("SPARRING_REDIS_URL") or started


def settings_here(local: LocalServices) -> ControllerSettings:
    """What the variables say, and while the services are up the addresses that they were given.

    Raises InvalidInput naming the variables that are wrong.
    """
    instead: dict[str, Any] = {"runs_dir": local.runs_dir, "redis_url": redis_here(local) or _NONE_YET}
    started = local.endpoints()
    if started is not None:
        others = os.environ.get("SPARRING_JUDGE_URLS")
        instead["judge_urls"] = ",".join(part for part in (others, f"default={started.judge}") if part)
        instead |= {"generator_url": started.generator, "trainer_url": started.trainer}
    return read_settings(**instead)
