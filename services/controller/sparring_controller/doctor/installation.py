"""What is examined: the settings in force, and what is known besides of the services."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import SecretStr

from sparring_controller.settings import DEFAULT_JUDGE, ControllerSettings
from sparring_shared.run_config import RunConfig


@dataclass(frozen=True)
class Service:
    """A service and where it is asked; `wanted`: somebody has started it, or says by its variable that it is there.

    `judge` is the name of a judge in SPARRING_JUDGE_URLS.
    """

    kind: Literal["controller", "generator", "judge", "trainer"]
    url: str
    wanted: bool
    judge: str = DEFAULT_JUDGE

    @property
    def name(self) -> str:
        """What it is called: `trainer`, or of several judges `judge other`."""
        return self.kind if self.judge == DEFAULT_JUDGE else f"{self.kind} {self.judge}"


@dataclass(frozen=True)
class Port:
    """Where a service of this machine would listen."""

    service: str
    host: str
    port: int


@dataclass(frozen=True)
class Installation:
    """One Sparring. Without a `redis_url` none is named and none runs: `sparring up` starts one.

    `policy` and `judge` are folders or hub ids, None where they are not known; `config` is the run that shall be played.
    `folders` are those besides the runs folder that are written to, by what they are.
    """

    settings: ControllerSettings
    redis_url: SecretStr | None
    services: tuple[Service, ...]
    ports: tuple[Port, ...] = ()
    folders: tuple[tuple[str, Path], ...] = ()
    policy: str | None = None
    judge: str | None = None
    config: RunConfig | None = None

    @property
    def up(self) -> bool:
        """Whether any service should be answering."""
        return any(service.wanted for service in self.services)


def asked_services(settings: ControllerSettings, *, up: bool) -> tuple[Service, ...]:
    """Generator, judges and trainer; `up`: all of them should answer, not only those that a variable names."""
    named = settings.model_fields_set
    judged = up or bool(named & {"judge_url", "judge_urls"})
    return (
        Service("generator", settings.generator_url, up or "generator_url" in named),
        *(Service("judge", url, judged, name) for name, url in settings.judges.items()),
        Service("trainer", settings.trainer_url, up or "trainer_url" in named),
    )
