"""A Docker engine with Compose v2: the one that answers, else one of our own for as long as the stage runs."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from containers.commands import NoContainers, say, told, without_containers

_PACKAGES = ("docker.io", "containerd", "runc", "iptables", "mmdebstrap")
_SOURCES = Path("/etc/apt/sources.list.d/debian.sources")
_START_SECONDS = 60
# Debian 12 has no Compose v2; the packages of its next release hold programs that run on it.
_PLUGINS_FROM = "trixie"
_PLUGINS = ("docker-compose", "docker-buildx")


def why_none() -> str | None:
    """Why no engine can be had on this machine, in one sentence, told by probes alone; None where one answers or can be had."""
    if _answers():
        return None
    if os.geteuid() != 0:
        return "no Docker engine answers, and only root can install and start one."
    if not _installed() and shutil.which("apt-get") is None:
        return "no Docker engine is installed, and there is no apt-get to install one with."
    if told(["unshare", "--mount", "--net", "true"], 20) is None:
        return "no Docker engine answers, and this process may not make the namespaces that one needs."
    if not _SOURCES.is_file() and told(["docker", "compose", "version"]) is None:
        return "`docker compose` (version 2) is not installed, and it can be fetched on Debian only."
    return None


@contextmanager
def engine(folder: Path) -> Iterator[None]:
    """While this lasts, `docker compose` reaches an engine. Raises NoContainers where none can be had.

    An engine of our own keeps everything under `folder` and is ended by its process id.
    """
    if _answers():
        say("using the Docker engine that answers here")
        _require_compose(folder)
        yield
        return
    reason = why_none()
    if reason is not None:
        raise NoContainers(reason)
    _install()
    _require_compose(folder)
    with _daemon(folder):
        yield


def _answers() -> bool:
    return told(["docker", "info", "--format", "{{.ServerVersion}}"], 20) is not None


def _installed() -> bool:
    return shutil.which("dockerd") is not None and shutil.which("mmdebstrap") is not None


def _install() -> None:
    if _installed():
        return
    say(f"installing {', '.join(_PACKAGES)}")
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    without_containers(["apt-get", "update", "-qq"], 300, "apt-get update")
    without_containers(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *_PACKAGES], 600, "apt-get install")


def _require_compose(folder: Path) -> None:
    """Compose v2 and buildx as plugins of the docker client, brought into `folder` if they are missing."""
    if told(["docker", "compose", "version"]) and told(["docker", "buildx", "version"]):
        return
    if not _SOURCES.is_file():
        raise NoContainers("`docker compose` (version 2) is not installed; install it.")
    say(f"fetching Compose v2 and buildx from Debian {_PLUGINS_FROM}")
    apt = folder / "apt"
    (apt / "lists" / "partial").mkdir(parents=True)
    sources = apt / "plugins.sources"
    uri = re.search(r"^URIs: *(\S+)", _SOURCES.read_text(encoding="utf-8"), re.MULTILINE)
    signed = re.search(r"^Signed-By: *(\S+)", _SOURCES.read_text(encoding="utf-8"), re.MULTILINE)
    if uri is None or signed is None:
        raise NoContainers(f"{_SOURCES} names no source to fetch Compose v2 from.")
    lines = f"Types: deb\nURIs: {uri[1]}\nSuites: {_PLUGINS_FROM}\nComponents: main\nSigned-By: {signed[1]}\n"
    sources.write_text(lines, encoding="utf-8")
    options = [f"Dir::Etc::SourceList={sources}", "Dir::Etc::SourceParts=/dev/null", f"Dir::State::Lists={apt / 'lists'}"]
    get = ["apt-get", "-qq", *(word for option in options for word in ("-o", option))]
    without_containers([*get, "update"], 300, f"apt-get update for {_PLUGINS_FROM}")
    without_containers(["bash", "-c", 'cd "$0" && "$@"', str(apt), *get, "download", *_PLUGINS], 300, "apt-get download")
    for package in apt.glob("*.deb"):
        without_containers(["dpkg", "-x", str(package), str(apt / "unpacked")], 120, f"unpacking {package.name}")
    plugins = folder / "config" / "cli-plugins"
    plugins.parent.mkdir()
    (apt / "unpacked" / "usr" / "libexec" / "docker" / "cli-plugins").rename(plugins)
    os.environ["DOCKER_CONFIG"] = str(plugins.parent)
    without_containers(["docker", "compose", "version"], 60, "`docker compose version`")


@contextmanager
def _daemon(folder: Path) -> Iterator[None]:
    """Our own dockerd, ended by its process id."""
    socket, log = folder / "docker.sock", folder / "dockerd.log"
    command = ["dockerd", "--data-root", str(folder / "data"), "--exec-root", str(folder / "exec")]
    command += ["--host", f"unix://{socket}", "--pidfile", str(folder / "dockerd.pid")]
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, stdin=subprocess.DEVNULL, start_new_session=True)
    os.environ["DOCKER_HOST"] = f"unix://{socket}"
    try:
        _await(process, log)
        say(f"started an engine of our own (process {process.pid})")
        yield
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        say(f"ended the engine (process {process.pid})")


def _await(process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while told(["docker", "info"], 20) is None:
        if process.poll() is not None or time.monotonic() > deadline:
            last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
            raise NoContainers(f"dockerd did not start: {' '.join(last)}")
        time.sleep(0.5)
