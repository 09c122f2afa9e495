"""Settings of the controller and its workers, from `SPARRING_*` variables."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import SettingsConfigDict

from sparring_shared.errors import InvalidInput
from sparring_shared.run_config import explain
from sparring_shared.settings import FolderSettings

Seconds = Annotated[float, Field(gt=0)]


class ControllerSettings(FolderSettings):
    """One field per variable: `redis_url` is `SPARRING_REDIS_URL`. The two URLs may hold passwords and,
    like the token that the judge wants, are never logged.

    A lease is what a worker holds on a stage while it works; one that is not renewed for `lease_seconds` is free for
    another worker. A service that does not answer is waited for up to `patience_seconds` before the run fails. A request to the
    generator may take `sampling_seconds`, one to the judge `judging_seconds`, one to the trainer `trainer_seconds`.
    `gpu_shared`: generator and trainer use the same GPU, so the generator sleeps while a job trains. A worker touches
    `heartbeat_file`, if one is set, for as long as it hears Redis.
    """

    model_config = SettingsConfigDict(env_prefix="SPARRING_", extra="ignore", env_ignore_empty=True)

    controller_host: str = "127.0.0.1"
    controller_port: Annotated[int, Field(ge=0, le=65535)] = 8000
    redis_url: SecretStr
    database_url: SecretStr | None = None
    generator_url: str = "http://127.0.0.1:8001"
    judge_url: str = "http://127.0.0.1:8002"
    judge_token: SecretStr | None = None
    trainer_url: str = "http://127.0.0.1:8003"
    lease_seconds: Seconds = 30
    reconcile_seconds: Seconds = 5
    patience_seconds: Seconds = 600
    sampling_seconds: Seconds = 600
    judging_seconds: Seconds = 600
    trainer_seconds: Seconds = 60
    gpu_shared: bool = False
    sampling_concurrency: Annotated[int, Field(ge=1, le=1024)] = 32
    heartbeat_file: Path | None = None

    @property
    def database(self) -> str:
        """The database URL, by default an SQLite file in the runs folder."""
        return self.database_url.get_secret_value() if self.database_url else f"sqlite:///{self.runs_dir / 'sparring.db'}"


def read_settings() -> ControllerSettings:
    """The settings of this process, with an absolute runs folder. Raises InvalidInput naming the variables that are wrong."""
    try:
        settings = ControllerSettings()  # pyright: ignore[reportCallIssue]  # the fields come from the environment
    except ValidationError as error:
        problems = ({**item, "loc": [f"SPARRING_{str(item['loc'][0]).upper()}"]} for item in error.errors())
        raise InvalidInput(explain(problems)) from None
    return settings.model_copy(update={"runs_dir": settings.runs_dir.resolve()})
