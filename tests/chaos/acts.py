"""What is done to a run, by its name: `kill redis`, `stop child of worker-judge`, `database held for 30 s`."""

import re
import resource
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import redis
from processes import ready

from chaos.worlds import World

_GONE = (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied)


class NotNow(Exception):
    """What an act needs is not there at this moment."""


def act(world: World, name: str) -> None:
    """Do it, and where it lasts, return when it is over. Raises NotNow."""
    for pattern, done in _ACTS.items():
        if found := re.fullmatch(pattern, name):
            done(world, *found.groups())
            return
    raise ValueError(f"There is no act {name!r}.")


def is_kill(name: str) -> bool:
    """Whether a process is killed by it."""
    return name.startswith("kill ")


def found(world: World, target: str) -> psutil.Process:
    """A process by what it is called here. Raises NotNow."""
    try:
        if target == "job":
            return _job(world)
        if target == "engine core":
            return _only(one for one in found(world, "generator").children() if "EngineCore" in " ".join(one.cmdline()))
        if target.startswith("child of "):
            return _only(iter(found(world, target.removeprefix("child of ")).children()))
        pid = world.processes.states()[target].pid
        if not pid:
            raise NotNow(target)
        return psutil.Process(pid)
    except _GONE:
        raise NotNow(target) from None


def _job(world: World) -> psutil.Process:
    for process in psutil.process_iter():
        try:
            line = process.cmdline()
        except _GONE:
            continue
        if "sparring_trainer.job" in line and line[-1].startswith(str(world.runs_dir)):
            return process
    raise NotNow("job")


def _only(processes: Iterator[psutil.Process]) -> psutil.Process:
    first = next(processes, None)
    if first is None:
        raise NotNow("a child")
    return first


def forget_judgements(world: World) -> None:
    """Have the judge compute everything anew, not find what it computed for the runs before."""
    if world.name == "small":
        return
    _kill(world, "judge")
    for path in world.runs_dir.glob(".judgements.db*"):
        path.unlink()
    while not ready(world.judge.url):
        time.sleep(0.2)


def _kill(world: World, target: str) -> None:
    try:
        found(world, target).kill()
    except _GONE:
        raise NotNow(target) from None


def _flush(world: World) -> None:
    try:
        with redis.Redis.from_url(world.redis_url, socket_timeout=5) as connection:
            connection.flushall()
    except redis.RedisError:
        raise NotNow("redis") from None


def _stop(world: World, target: str) -> None:
    """Past the lease, then it goes on as if nothing had been."""
    process = found(world, target)
    try:
        process.send_signal(signal.SIGSTOP)
        time.sleep(2 * world.lease_seconds)
        process.send_signal(signal.SIGCONT)
    except _GONE:
        raise NotNow(target) from None


def _fill(world: World, target: str) -> None:
    """No file of this process may grow for a while: what it writes fails as on a full disk."""
    process = found(world, target)
    try:
        soft, hard = process.rlimit(resource.RLIMIT_FSIZE)
        process.rlimit(resource.RLIMIT_FSIZE, (64, hard))
        time.sleep(3)
        process.rlimit(resource.RLIMIT_FSIZE, (soft, hard))
    except _GONE:
        raise NotNow(target) from None


def _judge_away(world: World, seconds: str) -> None:
    world.judge.away = True
    time.sleep(float(seconds))
    world.judge.away = False
    deadline = time.monotonic() + 60
    while _waits(world) and time.monotonic() < deadline:  # else two outages are one
        time.sleep(0.5)


def _waits(world: World) -> bool:
    connection = sqlite3.connect(world.database, timeout=60)
    found = connection.execute("SELECT 1 FROM stages WHERE state = 'waiting' AND waiting_since IS NOT NULL").fetchone()
    connection.close()
    return found is not None


def _hold_database(world: World, seconds: str) -> None:
    with _write_lock(world):
        time.sleep(float(seconds))


@contextmanager
def _write_lock(world: World) -> Iterator[None]:
    connection = sqlite3.connect(world.database, timeout=60, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()


def _step_clock(world: World, seconds: str) -> None:
    world.clock.write_text(f"{seconds}\n")


_ACTS: dict[str, Callable[..., None]] = {
    "kill (.+)": _kill,
    "flush redis": _flush,
    "stop (.+)": _stop,
    "fill (.+)": _fill,
    r"judge away for (\d+) s": _judge_away,
    r"database held for (\d+) s": _hold_database,
    r"clock ([+-]\d+) s": _step_clock,
}
