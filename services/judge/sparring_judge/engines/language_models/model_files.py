"""Where a language model lies, and what its config says before any weights are read."""

from dataclasses import asdict, dataclass
from pathlib import Path

from transformers import AutoConfig

from sparring_judge.engines.language_models.chat_tokenizer import ChatTokenizer
from sparring_judge.engines.models.folder import find_model
from sparring_judge.engines.models.revision import READ_WITH, files_digest, matching, revision
from sparring_judge.precision import Precision
from sparring_judge.settings import JudgeSettings
from sparring_judge.tasks.units import Limits
from sparring_shared.errors import CheckpointMismatch
from sparring_shared.records import JudgeRef

_SMALL_FILES = ("*.json", "*.jinja", "*.model", "*.txt")
_WINDOW = 8192
"""Tokens that a judge reads at most unless the limits are set: more is rarely needed and takes much memory."""


@dataclass(frozen=True)
class LmFiles:
    """A model's folder, what its config says, and how it is to be computed; `positions` is None where there is no end."""

    folder: Path
    ref: JudgeRef
    positions: int | None
    labels: int
    trust_remote_code: bool
    device: str
    precision: Precision | None
    threads: int

    def window(self, tokenizer: ChatTokenizer) -> int:
        """How many tokens model and tokenizer read."""
        return min(tokenizer.longest, self.positions or _WINDOW, _WINDOW)

    def ref_of(self, engine: str, limits: Limits) -> JudgeRef:
        """Which judge it is under these limits."""
        code = ("*.py",) if self.trust_remote_code else ()
        others = {
            "files": files_digest(matching(self.folder, (*READ_WITH, *code))),
            "limits": asdict(limits),
            "precision": self.precision or "auto",
        }
        return JudgeRef(name=self.ref.name, revision=revision(self.ref.revision, **others), engine=engine)


def find_lm(settings: JudgeSettings) -> LmFiles:
    """Locate the model that the settings name. Raises NotFound or CheckpointMismatch."""
    remote_code = settings.trust_remote_code
    found = find_model(settings.model, settings.revision, (*_SMALL_FILES, *(("*.py",) if remote_code else ())))
    try:
        config = AutoConfig.from_pretrained(found.folder, local_files_only=True, trust_remote_code=remote_code)
    except (OSError, ValueError, KeyError) as error:
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointMismatch(f"The config of {found.folder} cannot be read: {why}") from None
    positions: int | None = config.get_text_config().to_dict().get("max_position_embeddings")
    return LmFiles(
        found.folder,
        found.ref,
        positions,
        config.num_labels or 0,
        remote_code,
        settings.device,
        settings.precision,
        settings.threads,
    )
