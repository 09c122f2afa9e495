"""`python -m sparring_judge`: read the settings, look at the model's files, serve, load in the background."""

import logging
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from sparring_judge.engines.by_name import load_engine
from sparring_judge.engines.engine import Engine
from sparring_judge.queue.background_judge import BackgroundJudge
from sparring_judge.settings import JudgeSettings
from sparring_shared.errors import SparringError, fail
from sparring_shared.http import serve

FAILED = os.EX_SOFTWARE
"""The judge's exit code when its engine or its queue failed while it served; whoever keeps it starts it again."""


def loader(settings: JudgeSettings) -> Callable[[], Engine]:
    """What loads the engine that the settings name.

    A model in a folder is looked at here already, one on the hub when it is loaded. Raises NotFound or CheckpointMismatch.
    """
    if settings.engine == "pairrm" and Path(settings.model).is_dir():
        engine = load_engine(settings)
        return lambda: engine
    return partial(load_engine, settings)


def main() -> int:
    """Serve until SIGTERM or Ctrl-C; exit code 2 with one sentence for wrong settings or model, 70 if it failed later."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        settings = JudgeSettings.read()
        judge = BackgroundJudge(loader(settings), settings, on_failure=partial(signal.raise_signal, signal.SIGINT))
    except SparringError as error:
        return fail(error.message)
    from sparring_judge.service.app import create_app

    app = create_app(settings, judge)
    code = serve(app, "judge", settings.host, settings.port, drain_seconds=settings.drain_seconds)
    return code if judge.failure is None else fail(judge.failure.message, FAILED if judge.has_served else 2)


if __name__ == "__main__":
    sys.exit(main())
