"""The Kubernetes manifests: valid, confined, and in agreement with the services that they start."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from keda import KINDS
from manifests import (
    KUBERNETES,
    SECRETS,
    Manifest,
    Rendered,
    container,
    environment,
    kustomize,
    labels,
    of_kind,
    programs,
    render,
)
from pydantic import ValidationError
from skips import Skip, skip

from sparring_controller.local.services import WORKERS as LOCAL_WORKERS
from sparring_controller.rounds.planner import QUEUES
from sparring_controller.settings import ControllerSettings
from sparring_generator.settings import GeneratorSettings
from sparring_judge.settings import JudgeSettings
from sparring_shared.settings import FolderSettings
from sparring_trainer.service.job_processes import command
from sparring_trainer.settings import TrainerSettings

WAYS = ("cpu", "gpu", "all")
OLDEST, NEWEST = "1.28", "1.37"
SETTINGS = {
    "controller": ControllerSettings,
    "generator": GeneratorSettings,
    "judge": JudgeSettings,
    "trainer": TrainerSettings,
}
WORKERS = tuple(f"worker-{name}" for name in LOCAL_WORKERS)


def settings(kind: Any, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Any:
    with monkeypatch.context() as patched:
        for name, value in variables.items():
            patched.setenv(name, value)
        return kind()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_kubernetes_knows_every_field(rendered: Rendered, way: str, version: str) -> None:
    known = [each for each in rendered[way] if each["kind"] not in KINDS]
    assert len(known) > 25
    for manifest in known:
        kubernetes_validate.validate(manifest, version, strict=True)


def test_a_field_that_kubernetes_does_not_know_is_found(rendered: Rendered) -> None:
    wrong = programs(rendered["cpu"])["judge"] | {"replica": 2}
    with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
        kubernetes_validate.validate(wrong, NEWEST, strict=True)


def test_keda_gets_what_it_knows_and_scales_each_worker_by_its_queues(rendered: Rendered) -> None:
    kinds = [KINDS[each["kind"]].model_validate(each) for each in rendered["all"] if each["kind"] in KINDS]
    assert len(kinds) == 4
    scaled = of_kind(rendered["all"], "ScaledObject")
    lists = {
        each["spec"]["scaleTargetRef"]["name"]: ",".join(one["metadata"]["listName"] for one in each["spec"]["triggers"])
        for each in scaled.values()
    }
    assert lists == {name: queues(rendered["all"], name) for name in WORKERS}
    (authentication,) = of_kind(rendered["all"], "TriggerAuthentication").values()
    (reference,) = authentication["spec"]["secretTargetRef"]
    assert reference["name"] in of_kind(rendered["all"], "Secret"), "kustomize renames the secret here too"
    with pytest.raises(ValidationError, match="listLength"):
        triggers = [
            {**scaled["worker-judge"]["spec"]["triggers"][0], "metadata": {"address": "redis:6379", "listName": "judge"}}
        ]
        spec = {**scaled["worker-judge"]["spec"], "triggers": triggers}
        KINDS["ScaledObject"].model_validate({**scaled["worker-judge"], "spec": spec})


def queues(manifests: list[Manifest], worker: str) -> str:
    arguments = container(programs(manifests)[worker])["args"]
    return arguments[arguments.index("-Q") + 1]


@pytest.mark.parametrize("way", WAYS)
def test_every_queue_has_one_kind_of_worker_which_is_started_as_locally(rendered: Rendered, way: str) -> None:
    assert sorted(",".join(queues(rendered[way], name) for name in WORKERS).split(",")) == sorted(set(QUEUES.values()))
    assert {name: queues(rendered[way], f"worker-{name}") for name in LOCAL_WORKERS} == LOCAL_WORKERS
    for name in WORKERS:
        worker = container(programs(rendered[way])[name])
        assert worker["command"][1:] == ["-m", "celery", "-A", "sparring_controller.celery_app", "worker", "--loglevel", "INFO"]
        assert worker["args"][2:] == ["-c", "1", "-n", f"{name.removeprefix('worker-')}@%h"]
        assert "replicas" not in programs(rendered[way])[name]["spec"], "KEDA or the operator says how many"
        heartbeat = environment(programs(rendered[way])[name], rendered[way])["SPARRING_HEARTBEAT_FILE"]
        assert heartbeat in worker["readinessProbe"]["exec"]["command"][-1]
        # Not the heartbeat itself: a stage under way outlives the loss of Redis.
        assert f"'{heartbeat}.alive'" in worker["livenessProbe"]["exec"]["command"][-1]


@pytest.mark.parametrize("way", WAYS)
def test_pods_can_write_to_their_volumes_alone_and_do_nothing_else(rendered: Rendered, way: str) -> None:
    assert set(programs(rendered[way])) == {"controller", "generator", "judge", "trainer", "redis", *WORKERS}
    (namespace,) = of_kind(rendered[way], "Namespace").values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for name, program in programs(rendered[way]).items():
        pod = program["spec"]["template"]["spec"]
        inside = pod["securityContext"]
        assert (inside["runAsNonRoot"], inside["runAsUser"], inside["fsGroup"]) == (True, 10001, 10001), name
        assert inside["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container(program)["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        # Kubernetes would otherwise set GENERATOR_PORT=tcp://... and the like.
        assert (pod["automountServiceAccountToken"], pod["enableServiceLinks"]) == (False, False), name
        assert {mount["name"] for mount in container(program)["volumeMounts"]} >= {"tmp"}
        assert container(program)["resources"]["limits"]["memory"]
        assert pod["terminationGracePeriodSeconds"] >= 30


def test_a_capability_would_be_nothing_to_the_user_of_the_pods() -> None:
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        skip(Skip.NO_PRIVILEGE, "only root, with setpriv, can give rights away")
    # So IPC_LOCK, which `restricted` refuses anyway, is not added for InfiniBand: what such a pod may lock, its node says.
    given = ["--bounding-set", "+ipc_lock", "--inh-caps", "+ipc_lock", "--reuid", "10001", "--regid", "10001", "--clear-groups"]
    done = subprocess.run(["setpriv", *given, "cat", "/proc/self/status"], capture_output=True, text=True, check=True)
    caps = {line[3:6]: int(line.split()[1], 16) for line in done.stdout.splitlines() if line.startswith("Cap")}
    assert (caps["Inh"] >> 14 & 1, caps["Bnd"] >> 14 & 1) == (1, 1), "14 is IPC_LOCK"
    assert (caps["Eff"], caps["Prm"]) == (0, 0)


def test_the_user_is_that_of_the_images() -> None:
    stages = (KUBERNETES.parents[1] / "Dockerfile").read_text().split("\nFROM ")[1:]
    started = {
        stage.split()[2]: [line for line in stage.splitlines() if line.startswith("USER ")]
        for stage in stages
        if "\nCMD " in stage
    }
    assert set(started) == {*SETTINGS, "generator-cuda"}
    assert {users[-1] for users in started.values()} == {"USER 10001:10001"}


@pytest.mark.parametrize("way", WAYS)
def test_services_understand_their_variables_and_find_each_other(
    rendered: Rendered, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = of_kind(rendered[way], "Service")
    running = programs(rendered[way])
    known = {"SPARRING_" + field.upper() for field in (*ControllerSettings.model_fields, *FolderSettings.model_fields)}
    for name, kind in SETTINGS.items():
        read = settings(kind, environment(running[name], rendered[way]), monkeypatch)
        host = read.controller_host if name == "controller" else read.host
        port = read.controller_port if name == "controller" else read.port
        assert host == "0.0.0.0"
        assert [each["containerPort"] for each in container(running[name])["ports"]] == [port]
        assert services[name]["spec"]["ports"] == [{"name": "http", "port": port}]
        prefix = "SPARRING_" if name == "controller" else f"SPARRING_{name.upper()}_"
        known |= {prefix + field.upper() for field in kind.model_fields}
    for name in ("controller", *WORKERS):
        variables = environment(running[name], rendered[way])
        read = settings(ControllerSettings, variables, monkeypatch)
        assert read.redis_url.get_secret_value() == "redis://:0123abc@redis:6379/0"
        assert read.database == "postgresql+psycopg://u:p@db:5432/sparring"
        assert (read.generator_url, read.judge_url) == ("http://generator:8001", "http://judge:8002")
        assert (read.trainer_url, str(read.runs_dir)) == ("http://trainer:8003", "/sparring/runs")
        assert variables["REMAP_SIGTERM"] == "SIGQUIT"
    named = {
        name for program in running.values() for name in environment(program, rendered[way]) if name.startswith("SPARRING_")
    }
    assert named - known == set(), "no service reads these"


@pytest.mark.parametrize("way", WAYS)
def test_health_is_asked_at_the_right_routes_and_every_service_has_pods(rendered: Rendered, way: str) -> None:
    running = programs(rendered[way])
    for name in SETTINGS:
        probed = container(running[name])
        assert probed["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
        assert probed["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    for name, service in of_kind(rendered[way], "Service").items():
        chosen = [each for each, program in running.items() if service["spec"]["selector"].items() <= labels(program).items()]
        assert chosen == [name.removesuffix("-machines")]
    # Asleep or without a policy it is not ready, and must be reached all the same.
    assert of_kind(rendered[way], "Service")["generator"]["spec"]["publishNotReadyAddresses"] is True
    budgets = of_kind(rendered[way], "PodDisruptionBudget")
    assert {name: budget["spec"]["maxUnavailable"] for name, budget in budgets.items()} == {
        **dict.fromkeys(("controller", "generator", "judge", "redis", "worker"), 1),
        "trainer": 0,
    }


@pytest.mark.parametrize(("way", "gpus"), [("cpu", None), ("gpu", 1), ("all", 1)])
def test_gpus_are_asked_for_where_there_are_some(rendered: Rendered, way: str, gpus: int | None) -> None:
    asked = {
        name: container(each)["resources"]["limits"].get("nvidia.com/gpu") for name, each in programs(rendered[way]).items()
    }
    assert {name for name, count in asked.items() if count is not None} == (
        set() if gpus is None else set(SETTINGS) - {"controller"}
    )
    assert {count for count in asked.values() if count is not None} <= {gpus}
    build = "cpu" if gpus is None else "cuda"
    images = {container(each)["image"] for name, each in programs(rendered[way]).items() if name != "redis"}
    assert images == {
        "sparring/controller:0.1.0",
        *(f"sparring/{name}:0.1.0-{build}" for name in ("generator", "judge", "trainer")),
    }


def test_volumes_are_shared_by_nodes_unless_one_node_is_enough(rendered: Rendered) -> None:
    modes = {
        way: {tuple(each["spec"]["accessModes"]) for each in of_kind(rendered[way], "PersistentVolumeClaim").values()}
        for way in WAYS
    }
    assert modes == {"cpu": {("ReadWriteOnce",)}, "gpu": {("ReadWriteMany",)}, "all": {("ReadWriteMany",)}}
    for name, program in programs(rendered["cpu"]).items():
        together = "podAffinity" in program["spec"]["template"]["spec"].get("affinity", {})
        assert together == (name != "redis")


def test_machines_of_a_training_job_know_their_rank_and_the_first(rendered: Rendered, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = programs(rendered["all"])["trainer"]
    assert (trainer["spec"]["replicas"], trainer["spec"]["serviceName"]) == (2, "trainer-machines")
    assert of_kind(rendered["all"], "Service")["trainer-machines"]["spec"]["clusterIP"] == "None"
    for rank in (0, 1):
        read = settings(TrainerSettings, environment(trainer, rendered["all"], rank), monkeypatch)
        words = command(Path("/sparring/runs/.trainer/a"), read)
        assert words[words.index("--machine_rank") + 1] == str(rank)
        assert words[words.index("--main_process_ip") + 1] == "trainer-0.trainer-machines"
        assert words[words.index("--num_machines") + 1] == words[words.index("--num_processes") + 1] == "2"
    alone = settings(TrainerSettings, environment(programs(rendered["gpu"])["trainer"], rendered["gpu"]), monkeypatch)
    assert command(Path("/a"), alone)[1:] == ["-m", "sparring_trainer.job", "/a"]


def test_nothing_is_deployed_without_a_password_of_ones_own(tmp_path: Path) -> None:
    shutil.copytree(KUBERNETES, tmp_path / "kubernetes", ignore=shutil.ignore_patterns("secrets.env"))
    done = kustomize(tmp_path / "kubernetes" / "overlays" / "gpu")
    assert done.returncode != 0 and "secrets.env" in done.stderr
    keys = [line.partition("=")[0] for line in SECRETS.splitlines()]
    for overlay in ("cpu", "gpu"):
        example = (KUBERNETES / "overlays" / overlay / "secrets.env.example").read_text().splitlines()
        assert [line for line in example if not line.startswith("#")] == [f"{key}=" for key in keys]


def test_another_password_starts_anew_what_uses_it(rendered: Rendered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manifests.SECRETS", SECRETS.replace("0123abc", "4567def"))
    changed = {
        name for name, program in programs(render(tmp_path, "gpu")).items() if program != programs(rendered["gpu"])[name]
    }
    assert changed == {"controller", "generator", "judge", "redis", *WORKERS}
