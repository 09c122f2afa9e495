"""Which policy is loaded, and how another one takes its place: checked, alone, reloaded, probed, and only then ready."""

import asyncio
import logging
from pathlib import Path

from sparring_generator.fit import ModelShape, check_fit, read_shape
from sparring_generator.gate import Gate
from sparring_generator.probing import Engine, Prober
from sparring_shared.artifacts import verified_digest, weights_digest
from sparring_shared.errors import Conflict, InvalidInput, SparringError
from sparring_shared.paths import within
from sparring_shared.probe import Probe, read_probe
from sparring_shared.records import Record
from sparring_shared.wire.generator import PolicyLoad, PolicyStatus

_log = logging.getLogger(__name__)


class Base(Record):
    """The checkpoint that the engine was started with."""

    folder: Path
    digest: str
    shape: ModelShape
    probe: Probe | None


def read_base(folder: Path, *, trust_remote_code: bool) -> Base:
    """Read the files of the base checkpoint. Raises InvalidInput where they are not those of a Hugging Face checkpoint."""
    return Base(
        folder=folder,
        digest=weights_digest(folder),
        shape=read_shape(folder, trust_remote_code=trust_remote_code),
        probe=read_probe(folder),
    )


class ServedPolicy:
    """The policy on the engine; `gate` is passed together by sampling requests and alone by weight changes.

    `base` is what the engine was started with, version 0; checkpoints may lie under `roots`. `tolerance` is in nats.
    """

    def __init__(self, engine: Engine, base: Base, roots: list[Path], *, tolerance: float, trust_remote_code: bool) -> None:
        self.gate = Gate()
        self.status = PolicyStatus(version=0, digest=base.digest, path=str(base.folder), state="loading")
        self._engine = engine
        self._base = base
        self._roots = [*roots, base.folder]
        self._trust = trust_remote_code
        self._prober = Prober(engine, tolerance)

    def missing(self) -> str | None:
        """None when samples can be given, else one sentence that says why not."""
        return {
            "ready": None,
            "loading": f"Policy version {self.status.version} is being loaded; ask again soon.",
            "asleep": "The generator is asleep; POST /v1/policy/wake first.",
            "failed": f"Policy version {self.status.version} did not load; PUT /v1/policy with a good checkpoint.",
        }[self.status.state]

    async def start(self) -> None:
        """Probe what the engine was started with. A failure leaves the state `failed`, and a load repairs it."""
        async with self.gate.alone():
            try:
                self._prober.admit(self._base.probe)
                await self._take(self.status, stored=self._base.probe, reload=False)
            except SparringError as error:
                _log.error("The base policy is not served: %s", error.message)
                self.status = self.status.model_copy(update={"state": "failed"})

    async def load(self, wanted: PolicyLoad) -> PolicyStatus:
        """Put another checkpoint in the place of the present one.

        Raises InvalidInput or CheckpointMismatch with nothing changed; Broken, with the state `failed`, when the engine did
        not take the weights or the probe did not match; Conflict while asleep.
        """
        folder, digest = await asyncio.to_thread(self._identify, wanted)
        status = PolicyStatus(version=wanted.version, digest=digest, path=str(folder), state="ready")
        if self._stays(status):
            return self.status
        stored = await asyncio.to_thread(self._examine, folder)
        async with self.gate.alone():
            if not self._stays(status):  # another load may have come first
                self._refuse_asleep()
                await self._take(status, stored=stored)
        return self.status

    async def sleep(self) -> PolicyStatus:
        """Give the GPU memory back. Raises Conflict where the engine cannot."""
        self._refuse_sleepless()
        async with self.gate.alone():
            if self.status.state != "asleep":
                # Set first: a sleep that fails half way leaves no weights to sample from either.
                self.status = self.status.model_copy(update={"state": "asleep"})
                await self._engine.sleep()
        return self.status

    async def wake(self) -> PolicyStatus:
        """Take the GPU memory again, load the policy that slept and probe it."""
        self._refuse_sleepless()
        async with self.gate.alone():
            if self.status.state == "asleep":
                await self._engine.wake()
                await self._take(self.status)
        return self.status

    def _identify(self, wanted: PolicyLoad) -> tuple[Path, str]:
        folder = within(wanted.path, self._roots)
        if not folder.is_dir():
            raise InvalidInput(f"There is no folder {folder}; give the path of a Hugging Face checkpoint.")
        digest = verified_digest(folder)
        if digest != wanted.digest:
            raise InvalidInput(f"The digest of {folder} is {digest}, not {wanted.digest}; name the checkpoint that is meant.")
        return folder, digest

    def _examine(self, folder: Path) -> Probe | None:
        check_fit(self._base.shape, read_shape(folder, trust_remote_code=self._trust), folder)
        stored = read_probe(folder)
        self._prober.admit(stored)
        return stored

    def _stays(self, wanted: PolicyStatus) -> bool:
        """Whether these weights are loaded already; then only the version's number and place change."""
        if self.status.state != "ready" or self.status.digest != wanted.digest:
            return False
        self.status = wanted.model_copy(update={"probe": self.status.probe})
        return True

    async def _take(self, wanted: PolicyStatus, *, stored: Probe | None = None, reload: bool = True) -> None:
        """Load and probe `wanted`; the caller is alone behind the gate. Every way out but the last leaves `failed`."""
        self.status = wanted.model_copy(update={"state": "loading", "probe": None})
        state = "failed"
        probe = None
        try:
            if reload:
                await self._engine.reload(Path(wanted.path))
            probe = await self._prober.check(wanted.digest, stored)
            state = "ready"
        finally:
            self.status = self.status.model_copy(update={"state": state, "probe": probe})

    def _refuse_asleep(self) -> None:
        if self.status.state == "asleep":
            raise Conflict("The generator is asleep; POST /v1/policy/wake before another policy is loaded.")

    def _refuse_sleepless(self) -> None:
        if not self._engine.can_sleep:
            raise Conflict("This generator cannot sleep: that needs a CUDA GPU and vLLM's --enable-sleep-mode.")
