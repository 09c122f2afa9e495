"""Every setting of a service is passed on by Compose, fixed in its image, or one that has no use in a container."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from composed import EVERY_FILE, ROOT
from pydantic_settings import BaseSettings

from sparring_controller.settings import ControllerSettings
from sparring_generator.settings import GeneratorSettings
from sparring_judge.settings import JudgeSettings
from sparring_trainer.settings import TrainerSettings

SETTINGS: dict[str, type[BaseSettings]] = {
    "controller": ControllerSettings,
    "generator": GeneratorSettings,
    "judge": JudgeSettings,
    "trainer": TrainerSettings,
}
# What .env calls a port is where it is published; inside of a container it is fixed, as its health check asks there.
USELESS = {
    "controller": {"SPARRING_CONTROLLER_PORT", "SPARRING_HEARTBEAT_FILE"},  # only workers have a heartbeat
    "generator": {"SPARRING_GENERATOR_PORT"},
    "judge": {"SPARRING_JUDGE_PORT", "SPARRING_JUDGE_DRAIN_SECONDS"},  # stop_grace_period, a literal, allows for its default
    # Several machines are a cluster's, docs/kubernetes.md.
    "trainer": {"SPARRING_TRAINER_PORT"}
    | {f"SPARRING_TRAINER_{name}" for name in ("MACHINES", "MACHINE_RANK", "MAIN_HOST", "MAIN_PORT")},
}


def environment(service: str) -> dict[str, str | None]:
    """What docker-compose.yml gives a service; None for what is passed on only if it is set."""
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"][service]["environment"]


def in_image(service: str) -> set[str]:
    """Our variables that an image sets, in its own stage of the Dockerfile or in the one that it may stand on."""
    stages = re.findall(r"^FROM \S+ AS (\S+)$(.*?)(?=^FROM |\Z)", (ROOT / "Dockerfile").read_text(), re.MULTILINE | re.DOTALL)
    return {name for stage, text in stages if stage in ("base", service) for name in re.findall(r"(SPARRING_\w+)=", text)}


def example() -> dict[str, str]:
    """The variables of .env.example, as if every line were in use."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    return dict(line.removeprefix("#").split("=", 1) for line in lines if re.match(r"#?[A-Z][A-Z_]+=", line))


@pytest.mark.parametrize("service", SETTINGS)
def test_every_setting_has_one_place(service: str) -> None:
    settings = SETTINGS[service]
    variables = {f"{settings.model_config.get('env_prefix', '')}{name}".upper() for name in settings.model_fields}
    passed = {name for name in environment(service) if name.startswith("SPARRING_")}
    assert passed - variables == set()
    assert variables - passed - in_image(service) == USELESS[service]
    assert passed & (in_image(service) | USELESS[service]) == set()


def test_a_default_stands_in_the_settings_alone() -> None:
    given = {
        (service, name) for service in SETTINGS for name, value in environment(service).items() if f"${{{name}" in str(value)
    }
    assert given == {("generator", "SPARRING_GENERATOR_MODEL"), ("judge", "SPARRING_JUDGE_MODEL")}, "those have none"


@pytest.mark.parametrize("service", SETTINGS)
def test_the_example_with_every_line_in_use_changes_nothing(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(service).items():
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, example()[name] if name in example() and "${" in value else value)
    before = SETTINGS[service]()
    for name, value in environment(service).items():
        if value is None:
            monkeypatch.setenv(name, example()[name])
    assert SETTINGS[service]() == before


def test_every_variable_is_explained() -> None:
    texts = [Path(ROOT / name).read_text() for name in EVERY_FILE]
    named = {word for text in texts for word in re.findall(r"(?<!\$)\$\{(\w+)", text)}
    services: list[dict[str, Any]] = [each for text in texts for each in yaml.safe_load(text)["services"].values()]
    passed = {name for each in services for name, value in each.get("environment", {}).items() if value is None}
    assert sorted((named | passed) ^ set(example())) == ["COMPOSE_FILE"]
