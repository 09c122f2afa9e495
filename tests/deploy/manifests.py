"""The Kubernetes manifests as `kubectl apply -k` would send them."""

import shutil
import subprocess
import sys
from base64 import b64decode
from pathlib import Path
from typing import Any

import yaml

KUBERNETES = Path(__file__).resolve().parents[2] / "deploy" / "kubernetes"
SECRETS = "REDIS_PASSWORD=0123abc\nSPARRING_DATABASE_URL=postgresql+psycopg://u:p@db:5432/sparring\n"

Manifest = dict[str, Any]
Rendered = dict[str, list[Manifest]]


def kustomize(folder: Path) -> subprocess.CompletedProcess[str]:
    """`kubectl kustomize`, with the binary that its package brought beside this Python."""
    command = [str(Path(sys.executable).parent / "kubectl"), "kustomize", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def render(to: Path, overlay: str, components: tuple[str, ...] = ()) -> list[Manifest]:
    """An overlay with a user's secrets and the components that they chose; the files are copied `to` a folder first."""
    root = to / "-".join((overlay, *components))
    shutil.copytree(KUBERNETES, root)
    (root / "overlays" / overlay / "secrets.env").write_text(SECRETS)
    if components:
        path = root / "overlays" / overlay / "kustomization.yaml"
        chosen = yaml.safe_load(path.read_text()) | {"components": [f"../../components/{name}" for name in components]}
        path.write_text(yaml.safe_dump(chosen))
    done = kustomize(root / "overlays" / overlay)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def of_kind(manifests: list[Manifest], *kinds: str) -> dict[str, Manifest]:
    """All manifests of some kinds, by name."""
    return {each["metadata"]["name"]: each for each in manifests if each["kind"] in kinds}


def programs(manifests: list[Manifest]) -> dict[str, Manifest]:
    """What runs pods, by name."""
    return of_kind(manifests, "Deployment", "StatefulSet")


def container(program: Manifest) -> Manifest:
    """The one container of a program's pods."""
    (only,) = program["spec"]["template"]["spec"]["containers"]
    return only


def labels(program: Manifest) -> dict[str, str]:
    """The labels of a program's pods; of several the first, as Kubernetes numbers them."""
    numbered = {"apps.kubernetes.io/pod-index": "0"} if program["kind"] == "StatefulSet" else {}
    return program["spec"]["template"]["metadata"]["labels"] | numbered


def environment(program: Manifest, manifests: list[Manifest], rank: int = 0) -> dict[str, str]:
    """The variables of a program's container as Kubernetes sets them, for the pod of a rank."""
    maps, secrets = of_kind(manifests, "ConfigMap"), of_kind(manifests, "Secret")
    found: dict[str, str] = {}
    for source in container(program).get("envFrom", []):
        found |= maps[source["configMapRef"]["name"]]["data"]
    for variable in container(program).get("env", []):
        name, source = variable["name"], variable.get("valueFrom", {})
        if "secretKeyRef" in source:
            wanted = source["secretKeyRef"]
            values = _decoded(secrets[wanted["name"]])
            if not wanted.get("optional") or wanted["key"] in values:
                found[name] = values[wanted["key"]]
        elif "fieldRef" in source:
            assert source["fieldRef"]["fieldPath"] == "metadata.labels['apps.kubernetes.io/pod-index']"
            found[name] = str(rank)
        else:
            value = variable["value"]
            for known, text in found.items():
                value = value.replace(f"$({known})", text)
            found[name] = value
    return found


def _decoded(secret: Manifest) -> dict[str, str]:
    return {key: b64decode(value).decode() for key, value in secret["data"].items()}
