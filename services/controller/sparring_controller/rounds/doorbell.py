"""Redis as a doorbell: it carries stage keys to workers and nothing else, and may lose them."""

from typing import Final

import redis
from celery import Celery
from kombu.exceptions import OperationalError

from sparring_controller.rounds.planner import QUEUES
from sparring_shared.errors import Unavailable
from sparring_shared.wire.controller import StageName

TASK: Final = "sparring.run_stage"
REDIS_SECONDS: Final = 3.0
"""How long Redis may take to answer, be it gone or standing still."""


def celery_for(redis_url: str) -> Celery:
    """A Celery application with the settings under which a message may be lost, doubled or late, but never poisons a worker.

    A message is acknowledged late, so that a worker that dies leaves it unacknowledged; the reconciler does not wait for
    Redis to hand it out again, so the visibility timeout only has to exceed every stage.
    """
    app = Celery("sparring", broker=redis_url)
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_default_queue="rounds",
        task_publish_retry_policy={"max_retries": 1, "interval_start": 0.1},
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_soft_shutdown_timeout=20.0,
        # A running stage has its own lease: losing Redis is no reason to end it.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "visibility_timeout": 86_400,
            "unacked_restore_interval": 10,
            "unacked_restore_throttle": 1,
            "socket_connect_timeout": REDIS_SECONDS,
            "socket_timeout": REDIS_SECONDS,
            "socket_keepalive": True,
        },
    )
    return app


class Doorbell:
    """Tells workers that a stage waits for them. Methods raise Unavailable when Redis does not answer."""

    def __init__(self, redis_url: str) -> None:
        self._celery = celery_for(redis_url)
        self._redis = redis.Redis.from_url(redis_url, socket_connect_timeout=REDIS_SECONDS, socket_timeout=REDIS_SECONDS)
        where = self._redis.connection_pool.connection_kwargs
        self._at = f"{where.get('host', 'localhost')}:{where.get('port', 6379)}"

    def ring(self, key: str, stage: StageName) -> None:
        """Send the key of a stage to its queue, to be taken up at once.

        Never with Celery's countdown: a worker that holds such a message ends when Redis does (kombu 5.7.0).
        """
        try:
            self._celery.send_task(TASK, args=[key], queue=QUEUES[stage])
        except (OperationalError, redis.RedisError) as error:
            raise self._silent(error) from error

    def quiet(self, stage: StageName) -> bool:
        """Whether no message waits in the queue of a stage."""
        try:
            return self._redis.llen(QUEUES[stage]) == 0
        except redis.RedisError as error:
            raise self._silent(error) from error

    def ping(self) -> None:
        """Raises Unavailable when Redis does not answer."""
        try:
            self._redis.ping()
        except redis.RedisError as error:
            raise self._silent(error) from error

    def answers(self) -> bool:
        """Whether Redis answers."""
        try:
            self.ping()
        except Unavailable:
            return False
        return True

    def close(self) -> None:
        """Give the connections back."""
        self._celery.close()
        self._redis.close()

    def _silent(self, error: Exception) -> Unavailable:
        return Unavailable(f"Redis at {self._at} does not answer ({type(error).__name__}); is it running?")
