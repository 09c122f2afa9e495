"""The three services as the controller sees them; each client raises Unavailable when its service does not answer."""

from dataclasses import dataclass
from typing import Self

from sparring_controller.rounds.clients.generator import GeneratorClient
from sparring_controller.rounds.clients.judge import JudgeClient
from sparring_controller.rounds.clients.trainer import TrainerClient
from sparring_controller.settings import ControllerSettings

__all__ = ["GeneratorClient", "JudgeClient", "Services", "TrainerClient"]


@dataclass(frozen=True)
class Services:
    """One client of each service; made after a fork, never before."""

    generator: GeneratorClient
    judge: JudgeClient
    trainer: TrainerClient

    @classmethod
    def at(cls, settings: ControllerSettings) -> Self:
        """The services at the addresses of the settings."""
        return cls(
            GeneratorClient(settings.generator_url, settings.sampling_seconds, settings.sampling_concurrency),
            JudgeClient(settings.judge_url, settings.judge_token, settings.judging_seconds),
            TrainerClient(settings.trainer_url, settings.trainer_seconds),
        )

    def close(self) -> None:
        """Give the connections back."""
        for client in (self.generator, self.judge, self.trainer):
            client.close()
