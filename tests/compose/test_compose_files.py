"""What Compose makes of the files: which services, what they may do, and what of them is reachable."""

import pytest
from composed import EVERY_FILE, GPU, ROOT, config

pytestmark = pytest.mark.usefixtures("compose_command")

PLAYERS = {"controller", "worker-rounds", "worker-generate", "worker-judge"}
CALLED = {"generator", "judge", "trainer"}


def test_nothing_named_and_nothing_set_is_the_whole_system() -> None:
    services = config()
    assert set(services) == {"redis"} | PLAYERS | CALLED
    assert not [name for name, service in services.items() if "profiles" in service]


def test_what_is_built_here_is_never_pulled() -> None:
    services = config(GPU)
    assert {name for name in services if services[name].get("pull_policy") == "never"} == PLAYERS | CALLED


def test_gpus_change_no_more_than_images_and_the_devices_that_they_see() -> None:
    without, on = config(), config(GPU)
    assert {name for name in on if on[name] != without[name]} == CALLED
    for name in CALLED:
        assert {key for key in on[name] if on[name][key] != without[name].get(key)} == {
            "build",
            "deploy",
            "environment",
            "image",
        }
        assert on[name]["image"] == without[name]["image"].removesuffix("-cpu") + "-cuda"


def test_nothing_may_more_than_it_must() -> None:
    for name, service in config(EVERY_FILE, {"SPARRING_POSTGRES_PASSWORD": "x"}).items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert (service["read_only"], service["init"], service["restart"]) == (True, True, "unless-stopped"), name
        assert service["logging"]["options"] == {"max-file": "3", "max-size": "10m"}, name
        assert service["pids_limit"] > 0, name
        assert "privileged" not in service, name


def test_only_controller_and_judge_are_published_and_only_here() -> None:
    published = {name: service["ports"] for name, service in config().items() if "ports" in service}
    found = {
        name: [(port["host_ip"], port["published"], port["target"]) for port in ports] for name, ports in published.items()
    }
    assert found == {"controller": [("127.0.0.1", "8000", 8000)], "judge": [("127.0.0.1", "8002", 8002)]}


def test_another_address_is_published_when_told() -> None:
    services = config(variables={"SPARRING_PUBLISH_HOST": "10.0.0.7", "SPARRING_JUDGE_PORT": "9002"})
    (port,) = services["judge"]["ports"]
    assert (port["host_ip"], port["published"]) == ("10.0.0.7", "9002")


def test_redis_is_reached_by_controller_and_workers_alone() -> None:
    on_queue = {name for name, service in config().items() if "queue" in service["networks"]}
    assert on_queue == {"redis"} | PLAYERS
    assert set(config()["redis"]["networks"]) == {"queue"}


def test_files_have_one_path_everywhere() -> None:
    services = config()
    mounts = {name: {(volume["source"], volume["target"]) for volume in services[name]["volumes"]} for name in services}
    with_runs = {name for name, mounted in mounts.items() if ("runs", "/sparring/runs") in mounted}
    assert with_runs == PLAYERS | {"generator", "trainer"}
    assert {target for mounted in mounts.values() for source, target in mounted if source == "runs"} == {"/sparring/runs"}
    models = {name for name, mounted in mounts.items() if (str(ROOT / "models"), "/sparring/models") in mounted}
    assert models == with_runs | {"judge"}


def test_workers_wait_until_everything_they_call_is_healthy() -> None:
    needs = config()["worker-judge"]["depends_on"]
    assert {name: (need["condition"], need["required"]) for name, need in needs.items()} == dict.fromkeys(
        {"redis", "controller"} | CALLED, ("service_healthy", True)
    )


def test_each_service_gets_the_gpus_that_the_settings_give_it() -> None:
    shared = config(GPU)
    assert {shared[name]["environment"]["CUDA_VISIBLE_DEVICES"] for name in CALLED} == {"0"}
    given = {"SPARRING_GENERATOR_GPUS": "0,1,2", "SPARRING_JUDGE_GPUS": "3", "SPARRING_TRAINER_GPUS": "4,5,6,7"}
    apart = config(GPU, variables=given)
    for name in CALLED:
        service = apart[name]
        assert service["environment"]["CUDA_VISIBLE_DEVICES"] == given[f"SPARRING_{name.upper()}_GPUS"]
        (device,) = service["deploy"]["resources"]["reservations"]["devices"]
        assert (device["driver"], device["capabilities"], device["count"]) == ("nvidia", ["gpu"], -1)


def test_one_line_in_env_puts_the_system_on_gpus() -> None:
    assert config(variables={"COMPOSE_FILE": ":".join(GPU)}) == config(GPU)


def test_the_override_files() -> None:
    services = config(EVERY_FILE, {"SPARRING_POSTGRES_PASSWORD": "p1"})
    for name in PLAYERS:
        url = services[name]["environment"]["SPARRING_DATABASE_URL"]
        assert url == "postgresql+psycopg://sparring:p1@postgres:5432/sparring"
        assert services[name]["depends_on"]["postgres"]["condition"] == "service_healthy"
    replicas = {name: service["deploy"]["replicas"] for name, service in services.items() if name.startswith("worker")}
    assert replicas == {"worker-rounds": 2, "worker-generate": 4, "worker-judge": 2}
