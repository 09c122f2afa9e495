"""What Compose makes of the files: which services, what they may do, and what of them is reachable."""

import pytest
from composed import FILES, ROOT, config

pytestmark = pytest.mark.usefixtures("compose_command")

SHARED = {"redis", "controller", "worker-rounds", "worker-generate", "worker-judge"}
EVERY_FILE = (*FILES, "compose.postgres.yml", "compose.workers.yml")
GPU_SERVICES = {"generator-gpu", "judge-gpu", "trainer-gpu"}


@pytest.mark.parametrize(("profile", "own"), [("cpu", {"generator", "judge", "trainer"}), ("gpu", GPU_SERVICES)])
def test_a_profile_is_a_whole_system(profile: str, own: set[str]) -> None:
    services = config(profile)
    assert set(services) == SHARED | own
    for service in own:
        assert services[service]["networks"]["services"]["aliases"] == [service.removesuffix("-gpu")]


def test_nothing_may_more_than_it_must() -> None:
    for profile in ("cpu", "gpu"):
        for name, service in config(profile, EVERY_FILE, {"SPARRING_POSTGRES_PASSWORD": "x"}).items():
            assert service["cap_drop"] == ["ALL"], name
            assert service["security_opt"] == ["no-new-privileges:true"], name
            assert (service["read_only"], service["init"], service["restart"]) == (True, True, "unless-stopped"), name
            assert service["logging"]["options"] == {"max-file": "3", "max-size": "10m"}, name
            assert service["pids_limit"] > 0, name
            assert "privileged" not in service, name


def test_only_controller_and_judge_are_published_and_only_here() -> None:
    published = {name: service["ports"] for name, service in config("cpu").items() if "ports" in service}
    found = {
        name: [(port["host_ip"], port["published"], port["target"]) for port in ports] for name, ports in published.items()
    }
    assert found == {"controller": [("127.0.0.1", "8000", 8000)], "judge": [("127.0.0.1", "8002", 8002)]}


def test_another_address_is_published_when_told() -> None:
    services = config("gpu", variables={"SPARRING_PUBLISH_HOST": "10.0.0.7", "SPARRING_JUDGE_PORT": "9002"})
    (port,) = services["judge-gpu"]["ports"]
    assert (port["host_ip"], port["published"]) == ("10.0.0.7", "9002")


def test_redis_is_reached_by_controller_and_workers_alone() -> None:
    on_queue = {name for name, service in config("cpu").items() if "queue" in service["networks"]}
    assert on_queue == SHARED
    assert set(config("cpu")["redis"]["networks"]) == {"queue"}


def test_files_have_one_path_everywhere() -> None:
    services = config("cpu")
    mounts = {name: {(volume["source"], volume["target"]) for volume in services[name]["volumes"]} for name in services}
    with_runs = {name for name, mounted in mounts.items() if ("runs", "/sparring/runs") in mounted}
    assert with_runs == (SHARED - {"redis"}) | {"generator", "trainer"}
    assert {target for mounted in mounts.values() for source, target in mounted if source == "runs"} == {"/sparring/runs"}
    models = {name for name, mounted in mounts.items() if (str(ROOT / "models"), "/sparring/models") in mounted}
    assert models == with_runs | {"judge"}


def test_workers_wait_until_everything_they_call_is_healthy() -> None:
    needs = config("cpu")["worker-judge"]["depends_on"]
    assert {name for name, need in needs.items() if need["condition"] == "service_healthy"} == set(needs)
    assert set(needs) >= {"redis", "controller", "generator", "judge", "trainer"}


def test_each_service_gets_the_gpus_that_the_settings_give_it() -> None:
    shared = config("gpu")
    assert {shared[name]["environment"]["CUDA_VISIBLE_DEVICES"] for name in GPU_SERVICES} == {"0"}
    given = {"SPARRING_GENERATOR_GPUS": "0,1,2", "SPARRING_JUDGE_GPUS": "3", "SPARRING_TRAINER_GPUS": "4,5,6,7"}
    apart = config("gpu", variables=given)
    for name in ("generator", "judge", "trainer"):
        service = apart[f"{name}-gpu"]
        assert service["environment"]["CUDA_VISIBLE_DEVICES"] == given[f"SPARRING_{name.upper()}_GPUS"]
        (device,) = service["deploy"]["resources"]["reservations"]["devices"]
        assert (device["driver"], device["capabilities"], device["count"]) == ("nvidia", ["gpu"], -1)


def test_the_override_files() -> None:
    services = config("cpu", EVERY_FILE, {"SPARRING_POSTGRES_PASSWORD": "p1"})
    for name in SHARED - {"redis"}:
        url = services[name]["environment"]["SPARRING_DATABASE_URL"]
        assert url == "postgresql+psycopg://sparring:p1@postgres:5432/sparring"
        assert services[name]["depends_on"]["postgres"]["condition"] == "service_healthy"
    replicas = {name: service["deploy"]["replicas"] for name, service in services.items() if name.startswith("worker")}
    assert replicas == {"worker-rounds": 2, "worker-generate": 4, "worker-judge": 2}


def test_every_variable_is_explained() -> None:
    files = [ROOT / name for name in (*FILES, "compose.postgres.yml", "compose.workers.yml")]
    named = {word.split("}")[0].split(":")[0] for file in files for word in file.read_text().split("${")[1:]}
    explained = {line.lstrip("# ").split("=")[0] for line in (ROOT / ".env.example").read_text().splitlines() if "=" in line}
    assert sorted(named - explained) == []
