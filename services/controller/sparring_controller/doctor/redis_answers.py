"""Redis: whether it answers, and would keep what it is told until a worker has taken it."""

from typing import Any

import redis
from pydantic import SecretStr

from sparring_controller.doctor.examination import Finding, Level
from sparring_controller.doctor.machine import size

_SECONDS = 3.0
_OLDEST = (6, 2)
"""Of those that Sparring is tested with."""


def answering(url: SecretStr) -> list[Finding]:
    """A running Redis; it need not keep anything over a restart."""
    try:
        client = redis.Redis.from_url(url.get_secret_value(), socket_connect_timeout=_SECONDS, socket_timeout=_SECONDS)
    except ValueError as error:
        return [_is("wrong", f"SPARRING_REDIS_URL cannot be read ({error}); give redis://:password@host:port/0.")]
    where = client.connection_pool.connection_kwargs
    at = f"Redis at {where.get('host', 'localhost')}:{where.get('port', 6379)}"
    try:
        told: dict[str, Any] = client.info()  # pyright: ignore[reportAssignmentType]  # the client is not an asynchronous one
    except redis.AuthenticationError as error:
        return [_is("wrong", f"{at} refuses us ({error}); correct the password in SPARRING_REDIS_URL.")]
    except redis.RedisError as error:
        said = f"{type(error).__name__}: {error}"
        return [_is("wrong", f"{at} does not answer ({said}); start it, or correct SPARRING_REDIS_URL.")]
    finally:
        client.close()
    return [verdict(at, told)]


def verdict(at: str, told: dict[str, Any]) -> Finding:
    """What is to be said of a Redis that says this of itself (`INFO`)."""
    version, policy = str(told.get("redis_version", "0")), told.get("maxmemory_policy")
    used, most = int(told.get("used_memory", 0)), int(told.get("maxmemory", 0))
    if told.get("role") == "slave":
        return _is("wrong", f"{at} is a replica and takes no messages; name the main one in SPARRING_REDIS_URL.")
    if policy not in (None, "noeviction"):
        return _is("wrong", f"{at} forgets messages when memory is short (maxmemory-policy {policy}); set it to noeviction.")
    if most and used > 0.9 * most:
        return _is("wrong", f"{at} is full ({size(used)} of {size(most)}) and takes no messages soon; raise its maxmemory.")
    if tuple(int(part) for part in version.split(".")[:2] if part.isdecimal()) < _OLDEST:
        oldest = ".".join(str(part) for part in _OLDEST)
        return _is(
            "warning", f"{at} is version {version}, but the oldest that Sparring is tested with is {oldest}; take a newer."
        )
    return _is("ok", f"{at} answers: version {version}, maxmemory-policy {policy or 'not told'}.")


def _is(level: Level, says: str) -> Finding:
    return Finding(name="Redis", level=level, says=says)
