"""Who may reach whom: the network policies, asked as Kubernetes asks them, and the Redis that they guard."""

import os
import socket
import subprocess
import time
from pathlib import Path

import pytest
from manifests import Manifest, Rendered, container, labels, of_kind, programs
from ports import free_port

from sparring_controller.local.redis_server import redis_binary

PORTS = {"controller": 8000, "generator": 8001, "judge": 8002, "trainer": 8003, "redis": 6379}


def selects(selector: Manifest, found: dict[str, str]) -> bool:
    for rule in selector.get("matchExpressions", []):
        assert rule["operator"] == "In"
        if found.get(rule["key"]) not in rule["values"]:
            return False
    return selector.get("matchLabels", {}).items() <= found.items()


def admits(peer: Manifest, pod: dict[str, str] | None, namespace: dict[str, str]) -> bool:
    """Whether a rule's peer is a pod of this namespace (its labels), or any pod of another one (None)."""
    if "namespaceSelector" in peer:
        return selects(peer["namespaceSelector"], namespace)
    return pod is not None and selects(peer["podSelector"], pod)


def may_reach(manifests: list[Manifest], target: str, pod: dict[str, str] | None, **namespace: str) -> bool:
    """Whether some policy lets a pod in on the target's port; every pod is under the one that refuses."""
    policies = [each["spec"] for each in of_kind(manifests, "NetworkPolicy").values()]
    found = labels(programs(manifests)[target])
    chosen = [each for each in policies if "Ingress" in each["policyTypes"] and selects(each["podSelector"], found)]
    assert any("ingress" not in each for each in chosen), "what no policy names is refused"
    rules = [rule for each in chosen for rule in each.get("ingress", [])]
    return any(
        any(admits(peer, pod, {key.replace("__", "/"): value for key, value in namespace.items()}) for peer in rule["from"])
        and PORTS[target] in [port["port"] for port in rule.get("ports", [{"port": PORTS[target]}])]
        for rule in rules
    )


@pytest.mark.parametrize("way", ["cpu", "gpu", "all"])
def test_who_may_reach_whom(rendered: Rendered, way: str) -> None:
    running = programs(rendered[way])
    callers = {
        target: {name for name in running if may_reach(rendered[way], target, labels(running[name]))} for target in PORTS
    }
    inner = {"controller", "worker-rounds", "worker-generate", "worker-judge"}
    assert callers == {
        "controller": set(running),
        "generator": inner,
        "judge": set(running),
        "trainer": inner | {"trainer"},
        "redis": inner,
    }


def test_other_namespaces_reach_what_is_open_to_them_alone(rendered: Rendered) -> None:
    manifests = rendered["all"]
    client = {"sparring__client": "true"}
    assert [target for target in PORTS if may_reach(manifests, target, None, **client)] == ["controller", "judge"]
    assert [target for target in PORTS if may_reach(manifests, target, None)] == []
    keda = {"kubernetes.io__metadata.name": "keda"}
    assert [target for target in PORTS if may_reach(manifests, target, None, **keda)] == ["redis"]
    assert [target for target in PORTS if may_reach(rendered["gpu"], target, None, **keda)] == []


def test_generator_and_trainer_reach_no_other_service(rendered: Rendered) -> None:
    policies = of_kind(rendered["all"], "NetworkPolicy")
    names = [{"port": 53}, {"port": 53, "protocol": "UDP"}]
    assert policies["generator"]["spec"]["egress"] == [{"ports": [*names, {"port": 443}]}]
    asked, machines = policies["trainer"]["spec"]["egress"]
    assert asked == {"ports": names}
    (peer,) = machines["to"]
    assert [name for name, each in programs(rendered["all"]).items() if admits(peer, labels(each), {})] == ["trainer"]
    assert "egress" not in policies["redis"]["spec"] and "Egress" in policies["redis"]["spec"]["policyTypes"]


def test_the_command_of_redis_starts_one_that_asks_for_the_password(rendered: Rendered, tmp_path: Path) -> None:
    shell, option, script = container(programs(rendered["cpu"])["redis"])["command"]
    (config,) = (
        each["data"]["redis.conf"] for name, each in of_kind(rendered["cpu"], "ConfigMap").items() if name.startswith("redis")
    )
    port = free_port()
    (tmp_path / "redis.conf").write_text(config.replace("/data", str(tmp_path)) + f"bind 127.0.0.1\nport {port}\n")
    script = script.replace("/etc/redis/redis.conf", f"{tmp_path}/redis.conf").replace(
        "/tmp/redis.conf", f"{tmp_path}/with-password"
    )
    path = f"{redis_binary().parent}:{os.environ['PATH']}"
    server = subprocess.Popen(
        [shell, option, script], env={"PATH": path, "REDISCLI_AUTH": "0123abc"}, stdout=subprocess.DEVNULL
    )
    try:
        assert ask(port, "PING").startswith("-NOAUTH")
        kept = ask(port, "AUTH 0123abc", "CONFIG GET appendonly", "CONFIG GET maxmemory-policy").split()
        assert [line for line in kept if line[0] not in "$*"] == [
            *("+OK", "appendonly", "yes", "maxmemory-policy", "noeviction", "+OK"),
        ]
        assert (tmp_path / "with-password").stat().st_mode & 0o777 == 0o600
        assert (tmp_path / "appendonly.aof").exists() or (tmp_path / "appendonlydir").exists()
    finally:
        server.terminate()
        assert server.wait(20) == 0


def ask(port: int, *commands: str) -> str:
    """The answers of Redis to commands on one connection, as soon as it is up."""
    deadline = time.monotonic() + 20
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                connection.sendall("".join(f"{command}\r\n" for command in (*commands, "QUIT")).encode())
                return b"".join(iter(lambda: connection.recv(4096), b"")).decode()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
