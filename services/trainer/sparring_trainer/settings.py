"""Settings of the trainer service, from `SPARRING_TRAINER_*` variables."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from sparring_trainer.device_name import DeviceName

Count = Annotated[int, Field(ge=1)]
Port = Annotated[int, Field(ge=1, le=65535)]


class TrainerSettings(BaseSettings):
    """Where the service listens, and how its jobs run.

    `dir` holds one folder per job. `processes` is how many processes a job runs in on each machine, `threads` how many torch
    threads each of them uses on a CPU (torch's own default if None). Every `checkpoint_minutes` a job saves what it needs to go
    on after a crash (0: after each step). One that tells nothing new for `stall_minutes` is ended: no load of a model, no
    micro-batch and no save may take that long.

    `device` is `auto`, a GPU unless torch is a build for CPUs, or `cpu`; where torch is a build for GPUs and finds none, a job
    fails unless it is `cpu`.

    A job of several `machines` runs on all of them: the one with `machine_rank` 0 serves the jobs, the others join each job at
    `main_host`:`main_port`, which is rank 0. All share `dir` and the run directory, under the same paths. One process on one
    machine is plain Python, more are `accelerate launch`.
    """

    model_config = SettingsConfigDict(env_prefix="SPARRING_TRAINER_", extra="ignore", env_ignore_empty=True)

    host: str = "127.0.0.1"
    port: Port = 8003
    dir: Path = Path("runs/.trainer")
    processes: Count = 1
    threads: Count | None = None
    device: DeviceName = "auto"
    checkpoint_minutes: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 10
    stall_minutes: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 30
    machines: Count = 1
    machine_rank: Annotated[int, Field(ge=0)] = 0
    main_host: str = "127.0.0.1"
    main_port: Port = 29500

    @field_validator("machine_rank")
    @classmethod
    def _below_machines(cls, rank: int, known: ValidationInfo) -> int:
        machines = known.data.get("machines", rank + 1)
        if rank >= machines:
            raise ValueError(f"ranks count from 0, so the last of {machines} machines has {machines - 1}")
        return rank
