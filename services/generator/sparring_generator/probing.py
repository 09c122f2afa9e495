"""After each weight change: are these the right weights? Answered by log-probs of a text, never assumed."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from sparring_shared.errors import Broken, InvalidInput
from sparring_shared.probe import PROBE, Probe, max_difference
from sparring_shared.wire.generator import ProbeResult


class Engine(Protocol):
    """What the policy needs of the engine that serves it. Every method raises Broken when the engine fails."""

    @property
    def vocab_size(self) -> int:
        """Number of tokens of the vocabulary."""
        ...

    @property
    def max_model_len(self) -> int:
        """Longest sequence in tokens, prompt and answer together."""
        ...

    @property
    def can_sleep(self) -> bool:
        """Whether its GPU memory can be given back and taken again."""
        ...

    async def prompt_logprobs(self, token_ids: Sequence[int]) -> tuple[float, ...]:
        """log pi(token_ids[i + 1] | token_ids[: i + 1]) in nats, N - 1 of them."""
        ...

    async def reload(self, folder: Path) -> None:
        """Exchange the weights and empty the prefix cache."""
        ...

    async def sleep(self) -> None:
        """Give the GPU memory back; the weights are lost."""
        ...

    async def wake(self) -> None:
        """Take the GPU memory again; the weights are undefined until `reload`."""
        ...


class Prober:
    """Checks the loaded weights, and remembers what each digest answered."""

    def __init__(self, engine: Engine, tolerance: float) -> None:
        self._engine = engine
        self._tolerance = tolerance
        self._text = range(min(engine.vocab_size, engine.max_model_len - 1, 64))
        self._seen: dict[str, tuple[float, ...]] = {}
        self._last: tuple[float, ...] | None = None

    def admit(self, probe: Probe | None) -> None:
        """Raises InvalidInput for a stored probe that the running model cannot read."""
        if probe is None:
            return
        if len(probe.token_ids) >= self._engine.max_model_len or max(probe.token_ids) >= self._engine.vocab_size:
            raise InvalidInput(
                f"{PROBE} does not fit: the running model reads fewer than {self._engine.max_model_len} tokens of a vocabulary"
                f" of {self._engine.vocab_size}."
            )

    async def check(self, digest: str, stored: Probe | None) -> ProbeResult:
        """Compare with the stored probe, else with what this digest answered before. Raises Broken on any mismatch."""
        values = await self._engine.prompt_logprobs(self._text)
        if not all(math.isfinite(value) for value in values):
            raise Broken("The loaded weights give log-probs that are not finite; load another checkpoint.")
        if stored is not None:
            result = self._matched(await self._engine.prompt_logprobs(stored.token_ids), stored.logprobs)
        elif digest in self._seen:
            result = self._matched(values, self._seen[digest])
        elif values == self._last:
            raise Broken(
                "The log-probs are those of the weights before, to the last bit: the weights did not change; "
                f"load again, or put a {PROBE} into the checkpoint if its weights really are the same."
            )
        else:
            result = ProbeResult(outcome="recorded")
        self._seen[digest] = self._last = values
        return result

    def _matched(self, values: tuple[float, ...], expected: tuple[float, ...]) -> ProbeResult:
        difference = max_difference(values, expected)
        if difference > self._tolerance:
            raise Broken(
                f"The probe failed: log-probs differ by {difference:.3g} nats from the expected ones, more than "
                f"{self._tolerance:g}; load a checkpoint whose {PROBE} was written for its weights.",
                {"max_difference": difference if math.isfinite(difference) else None, "tolerance": self._tolerance},
            )
        return ProbeResult(outcome="matched", max_difference=difference)
