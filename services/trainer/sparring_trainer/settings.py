"""Settings of the trainer service, from `SPARRING_TRAINER_*` variables."""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

Count = Annotated[int, Field(ge=1)]


class TrainerSettings(BaseSettings):
    """Where the service listens, and how its jobs run.

    `dir` holds one folder per job. `processes` is how many processes a job runs in (1: plain Python; more: `accelerate
    launch`), `threads` how many torch threads each of them uses on a CPU (torch's own default if None). Every
    `checkpoint_steps` optimizer steps a job saves what it needs to go on after a crash.
    """

    model_config = SettingsConfigDict(env_prefix="SPARRING_TRAINER_", extra="ignore")

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8003
    dir: Path = Path("runs/.trainer")
    processes: Count = 1
    threads: Count | None = None
    checkpoint_steps: Count = 50
