"""An engine for tests of the layer above it: folders stand for weights, and what each says of any text is given."""

from collections.abc import Sequence
from pathlib import Path

from sparring_shared.errors import Broken


class FakeEngine:
    """`says` maps a folder's name to the log-prob of every token; a name that is not there cannot be loaded."""

    vocab_size = 100
    max_model_len = 16

    def __init__(self, says: dict[str, float], loaded: str, *, can_sleep: bool = False) -> None:
        self.says = says
        self.loaded = loaded
        self.can_sleep = can_sleep
        self.calls: list[str] = []

    async def prompt_logprobs(self, token_ids: Sequence[int]) -> tuple[float, ...]:
        return (self.says[self.loaded],) * (len(token_ids) - 1)

    async def reload(self, folder: Path) -> None:
        self.calls.append(f"reload {folder.name}")
        if folder.name not in self.says:
            raise Broken(f"vLLM could not load {folder.name}")
        self.loaded = folder.name

    async def sleep(self) -> None:
        self.calls.append("sleep")

    async def wake(self) -> None:
        self.calls.append("wake")
