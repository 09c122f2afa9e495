"""Settings of the controller and its workers, from `SPARRING_*` variables."""

from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import SettingsConfigDict

from sparring_shared.errors import InvalidInput
from sparring_shared.run_config import explain
from sparring_shared.settings import FolderSettings

DEFAULT_JUDGE: Final = "default"
DETERMINISTIC_AT_ONCE: Final = 32
"""Requests in flight to the generator for a run that is `deterministic`, whichever worker asks."""

Seconds = Annotated[float, Field(gt=0)]


class ControllerSettings(FolderSettings):
    """One field per variable: `redis_url` is `SPARRING_REDIS_URL`. The two URLs may hold passwords and,
    like the token that the judge wants, are never logged.

    A lease is what a worker holds on a stage while it works; one that is not renewed for `lease_seconds` is free for another
    worker. A service that does not answer is waited for up to `patience_seconds` before the run fails. A request to the
    generator may take `sampling_seconds`, one to the judge `judging_seconds`, one to the trainer `trainer_seconds`.
    `judge_urls` names further judges, as `default=http://a:8002,other=http://b:8002`; `judge_url` is the one of the name
    `default` where that does not name it. While other runs wait for the generator, a run has it for `turn_seconds`, and for
    what it has begun by then. `gpu_shared`: generator and trainer use the same GPU, so the generator sleeps while a job
    trains. A worker touches `heartbeat_file`, if one is set, for as long as it hears
    Redis, and the file of that name with `.alive` for as long as it is alive at all.
    """

    model_config = SettingsConfigDict(env_prefix="SPARRING_", extra="ignore", env_ignore_empty=True)

    controller_host: str = "127.0.0.1"
    controller_port: Annotated[int, Field(ge=0, le=65535)] = 8000
    redis_url: SecretStr
    database_url: SecretStr | None = None
    generator_url: str = "http://127.0.0.1:8001"
    judge_url: str = "http://127.0.0.1:8002"
    judge_urls: str = ""
    judge_token: SecretStr | None = None
    trainer_url: str = "http://127.0.0.1:8003"
    lease_seconds: Seconds = 30
    reconcile_seconds: Seconds = 5
    patience_seconds: Seconds = 600
    sampling_seconds: Seconds = 600
    judging_seconds: Seconds = 600
    trainer_seconds: Seconds = 60
    turn_seconds: Seconds = 300
    gpu_shared: bool = False
    sampling_concurrency: Annotated[int, Field(ge=1, le=1024)] = 32
    heartbeat_file: Path | None = None

    @field_validator("judge_urls")
    @classmethod
    def _are_named(cls, value: str) -> str:
        if any(not name or not url for name, url in _named(value)):
            raise ValueError(
                "give name=url, several with commas between them, such as default=http://a:8002,other=http://b:8002"
            )
        return value

    @property
    def silence_seconds(self) -> float:
        """After how long without a sign of life a stage hangs: four times what its longest request may take."""
        return 4 * max(self.sampling_seconds, self.judging_seconds, self.trainer_seconds)

    @property
    def judges(self) -> dict[str, str]:
        """The address of each judge by its name."""
        return {DEFAULT_JUDGE: self.judge_url, **dict(_named(self.judge_urls))}

    @property
    def database(self) -> str:
        """The database URL, by default an SQLite file in the runs folder."""
        return self.database_url.get_secret_value() if self.database_url else f"sqlite:///{self.runs_dir / 'sparring.db'}"


def _named(value: str) -> list[tuple[str, str]]:
    parts = [part.partition("=") for part in value.split(",") if part.strip()]
    return [(name.strip(), url.strip()) for name, _, url in parts]


def read_settings(**instead: Any) -> ControllerSettings:
    """The settings of this process, with an absolute runs folder; `instead` takes the place of what variables say.

    Raises InvalidInput naming the variables that are wrong.
    """
    try:
        settings = ControllerSettings(**instead)
    except ValidationError as error:
        problems = ({**item, "loc": [f"SPARRING_{str(item['loc'][0]).upper()}"]} for item in error.errors())
        raise InvalidInput(explain(problems)) from None
    return settings.model_copy(update={"runs_dir": settings.runs_dir.resolve()})
