"""The services as the controller sees them; each client raises Unavailable when its service does not answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from sparring_controller.rounds.clients.generator import GeneratorClient
from sparring_controller.rounds.clients.judge import JudgeClient
from sparring_controller.rounds.clients.trainer import TrainerClient
from sparring_controller.settings import DETERMINISTIC_AT_ONCE, ControllerSettings
from sparring_shared.errors import InvalidInput

__all__ = ["GeneratorClient", "JudgeClient", "Services", "TrainerClient"]


@dataclass(frozen=True)
class Services:
    """One client of each service, of each judge by its name; made after a fork, never before.

    A stage asks by `Work.judge` and `Work.evaluation_judge`, which are pinned.
    """

    generator: GeneratorClient
    judges: Mapping[str, JudgeClient]
    trainer: TrainerClient

    @classmethod
    def at(cls, settings: ControllerSettings) -> Self:
        """The services at the addresses of the settings."""
        at_once = max(settings.sampling_concurrency, DETERMINISTIC_AT_ONCE)
        return cls(
            GeneratorClient(settings.generator_url, settings.sampling_seconds, at_once),
            {name: JudgeClient(url, settings.judge_token, settings.judging_seconds) for name, url in settings.judges.items()},
            TrainerClient(settings.trainer_url, settings.trainer_seconds),
        )

    def judge(self, name: str, key: str) -> JudgeClient:
        """The judge of that name. Raises InvalidInput, with the run config's `key`, for a name that is not known here."""
        if name not in self.judges:
            known = ", ".join(self.judges)
            raise InvalidInput(f"{key}: there is no judge {name} here (known: {known}); correct it or set SPARRING_JUDGE_URLS.")
        return self.judges[name]

    def close(self) -> None:
        """Give the connections back."""
        for client in (self.generator, *self.judges.values(), self.trainer):
            client.close()
