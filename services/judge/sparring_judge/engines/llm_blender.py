"""The llm-blender engine: the published package computes, for reference and parity with `pairrm`; slow.

It runs in an environment of its own, since llm-blender 0.0.2 needs transformers 4. A text that holds one of its tags makes it
fail; such an item is refused, where `pairrm` reads the tag as plain text.
"""

import importlib
import importlib.util
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sparring_judge.engines.engine import Computed, Description, Engine
from sparring_judge.engines.pairrm.checkpoint import find_judge
from sparring_judge.engines.pairrm.passes import cut
from sparring_judge.engines.pairrm.tokenizer import TAGS, JudgeTokenizer, load_tokenizer
from sparring_judge.settings import JudgeSettings
from sparring_judge.tasks.task import Task
from sparring_judge.tasks.units import Limits, Plan, Unit, unit_key
from sparring_shared.errors import CheckpointMismatch, InvalidInput, Unavailable
from sparring_shared.records import JudgeRef

_ENVIRONMENT = (
    "The engine llm-blender needs an environment of its own, with llm-blender 0.0.2 and transformers 4.57.6; make it with "
    "python scripts/setup.py --llm-blender and start the judge with .venv-llm-blender/bin/python."
)


class BlenderReader:
    """One unit, three texts, for each ordered pair of distinct answers."""

    name = "llm-blender"

    def __init__(self, ref: JudgeRef, limits: Limits, tokenizer: JudgeTokenizer) -> None:
        self.ref = ref
        self.limits = limits
        self._tokenizer = tokenizer

    def plan(self, task: Task) -> Plan:
        """See `Reader`. Raises InvalidInput for a text that is not valid Unicode or holds a tag of llm-blender's."""
        source, *candidates = (self._ids(text) for text in (task.prompt, *task.candidates))
        games = {(i, j): (task.prompt, task.candidates[i], task.candidates[j]) for i, j in task.games}
        distinct = {texts: at for at, texts in enumerate(dict.fromkeys(games.values()))}
        tokens = {texts: len(source) + sum(len(self._ids(text)) for text in texts[1:]) for texts in distinct}
        return Plan(
            units=tuple(Unit(unit_key(self.ref, *texts), tokens[texts], texts) for texts in distinct),
            games={game: ((1.0, distinct[texts]),) for game, texts in games.items()},
            reading=cut(source, candidates, self.limits).reading,
        )

    def _ids(self, text: str) -> tuple[int, ...]:
        # The tokenizer looks for tags after it has normalised the text.
        held = [tag for tag in TAGS if tag in unicodedata.normalize("NFKC", text)]
        if held:
            raise InvalidInput(f"A text holds {held[0]}, on which llm-blender fails; take it out or use the engine pairrm.")
        return self._tokenizer.ids(text)


@dataclass(frozen=True)
class BlenderModel:
    """What the package is told: the judge's folder, its backbone's folder or hub id, its limits."""

    folder: Path
    backbone: str
    limits: Limits
    device: str
    fp16: bool
    threads: int


class BlenderComputer:
    """A `Computer` over `llm_blender.Blender`. Raises Unavailable where the package cannot be imported."""

    def __init__(self, model: BlenderModel) -> None:
        package = _package()
        from sparring_judge.engines.models.devices import set_up_torch  # torch takes seconds to import

        device = str(set_up_torch(model.device, model.threads))
        self.description = Description(device, batch_tokens=2048)
        self._blender: Any = package.Blender(blender_config=package.BlenderConfig(device=device, use_tqdm=False))
        self._blender.loadranker(
            str(model.folder),
            device=device,
            model_name=model.backbone,
            fp16=model.fp16,
            source_maxlength=model.limits.source_max_tokens,
            candidate_maxlength=model.limits.candidate_max_tokens,
        )

    def compute(self, units: Sequence[Unit]) -> Computed:
        """See `Computer`; one pair at a time, so that no result depends on another."""
        texts: list[tuple[str, str, str]] = [unit.content for unit in units]  # pyright: ignore[reportAssignmentType]  # the reader's
        prompts, first, second = (list(column) for column in zip(*texts, strict=True))
        logits = self._blender.compare(prompts, first, second, batch_size=1, return_logits=True, mode="[A,B]")
        return Computed(tuple(float(logit) for logit in logits))


def load_blender(settings: JudgeSettings) -> Engine:
    """The engine that the settings name, its weights not yet read.

    Raises Unavailable where the package is not installed, NotFound or CheckpointMismatch for a model that it cannot load.
    """
    if importlib.util.find_spec("llm_blender") is None:
        raise Unavailable(_ENVIRONMENT)
    if settings.precision not in (None, "fp32", "fp16"):
        raise InvalidInput(f"SPARRING_JUDGE_PRECISION {settings.precision} is not llm-blender's; set fp32, or fp16 on a GPU.")
    files = find_judge(settings.model, settings.revision)
    if files.backbone is None:
        raise CheckpointMismatch(
            f"{settings.model} is in the layout of PairRM-hf; llm-blender reads that of llm-blender/PairRM."
        )
    limits = Limits(
        settings.source_max_tokens or files.limits.source_max_tokens,
        settings.candidate_max_tokens or files.limits.candidate_max_tokens,
    )
    model = BlenderModel(
        folder=files.weights[0].parent,
        backbone=files.backbone,
        limits=limits,
        device=settings.device,
        fp16=settings.precision != "fp32",
        threads=settings.threads,
    )
    ref = files.ref_of(BlenderReader.name, limits, settings.precision)
    return Engine(BlenderReader(ref, limits, load_tokenizer(files.tokenizer)), partial(BlenderComputer, model))


def _package() -> Any:
    try:
        return importlib.import_module("llm_blender")
    except ImportError:
        raise Unavailable(_ENVIRONMENT) from None
