"""The workers' Celery application: `celery -A sparring_controller.celery_app worker -Q rounds,train -c 1 -n rounds@%h`.

Its one task is `sparring.run_stage`. A stage that hangs is ended with its process, and a worker that hears nothing of a Redis
that answers ends itself, so that whoever started it starts it again. With `REMAP_SIGTERM=SIGQUIT` a worker that gets SIGTERM
has 20 s to finish its stage, then gives the message back.
"""

import logging
import os
import signal
import threading
import time
from functools import cache
from typing import Any

from sparring_controller.settings import read_settings
from sparring_shared.errors import InvalidInput, fail

try:
    _settings = read_settings()
except InvalidInput as error:
    raise SystemExit(fail(error.message)) from None

# The heavy imports come after the settings are known to be good.
from celery.signals import heartbeat_sent, setup_logging, worker_ready

from sparring_controller.rounds.clients import Services
from sparring_controller.rounds.doorbell import TASK, Doorbell, celery_for
from sparring_controller.rounds.signs_of_life import SignsOfLife, end_silent_children
from sparring_controller.rounds.worker import Worker
from sparring_controller.store.database import Database

try:
    Database(_settings.database).close()
except InvalidInput as error:
    raise SystemExit(fail(error.message)) from None

log = logging.getLogger(__name__)

_WATCH_SECONDS = 5.0
_DEAF_SECONDS = 120.0
_signs = SignsOfLife()
_heard = [time.monotonic()]


@setup_logging.connect
def _log(**_: Any) -> None:
    """Our lines alone: each stage is worth one when it begins and one when it ends, each message is not."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in ("httpx", "celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(name).setLevel(logging.WARNING)


@heartbeat_sent.connect
def _alive(**_: Any) -> None:
    """Celery calls this every two seconds while the worker is connected, also when a stage is under way."""
    _heard[0] = time.monotonic()
    if _settings.heartbeat_file is not None:
        _settings.heartbeat_file.touch()


@worker_ready.connect
def _begin_watch(**_: Any) -> None:
    """In the pool's parent, once: a thread that does not wait for Redis, as the parent itself may."""
    if not any(thread.name == "watch" for thread in threading.enumerate()):
        threading.Thread(target=_watch, name="watch", daemon=True).start()


def _watch() -> None:
    doorbell = Doorbell(_settings.redis_url.get_secret_value())
    while True:
        time.sleep(min(_WATCH_SECONDS, _settings.silence_seconds / 3))
        if _settings.heartbeat_file is not None:
            _settings.heartbeat_file.with_suffix(".alive").touch()
        end_silent_children(_signs, _settings.silence_seconds)
        if time.monotonic() - _heard[0] > _DEAF_SECONDS and doorbell.answers():
            log.critical("Redis answers, but this worker has heard nothing of it for %.0f s; it ends", _DEAF_SECONDS)
            os.kill(os.getpid(), signal.SIGKILL)


app = celery_for(_settings.redis_url.get_secret_value())


@cache
def _worker() -> Worker:
    """This process's worker; connections are made here, after the pool has forked."""
    doorbell = Doorbell(_settings.redis_url.get_secret_value())
    return Worker(_settings, Database(_settings.database), doorbell, Services.at(_settings), _signs)


@app.task(name=TASK)
def run_stage(key: str) -> None:
    """Do one stage."""
    _worker().run_stage(key)
