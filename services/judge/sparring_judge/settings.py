"""Settings of the judge process, from `SPARRING_JUDGE_*` variables."""

from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from sparring_shared.errors import InvalidInput
from sparring_shared.run_config import explain

PREFIX = "SPARRING_JUDGE_"
Count = Annotated[int, Field(ge=1)]


class JudgeSettings(BaseSettings):
    """What `python -m sparring_judge` reads.

    `model` is a folder or a Hugging Face hub id (at `revision`, if one is given); `pairrm` needs it, `fake` needs none.
    `device` is `auto`, `cpu`, `cuda`, `cuda:1`, `mps` ...; `threads` are torch's on the CPU. Token limits, in tokens with
    tag and separators, are those of the model's config unless set here.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", env_ignore_empty=True)

    engine: Literal["pairrm", "fake"] = "pairrm"
    model: str = ""
    revision: str | None = None
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8002
    device: Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")] = "auto"
    threads: Count = 1
    max_items: Count = 256
    max_candidates: Annotated[int, Field(ge=2, le=32)] = 32
    max_body_bytes: Count = 16 << 20
    source_max_tokens: Annotated[int, Field(ge=4)] | None = None
    candidate_max_tokens: Annotated[int, Field(ge=4)] | None = None

    @classmethod
    def read(cls) -> Self:
        """The settings of this process. Raises InvalidInput with one sentence that names the variable."""
        try:
            settings = cls()
        except ValidationError as error:
            raise InvalidInput(explain({**item, "loc": _variable(item["loc"])} for item in error.errors())) from None
        if settings.engine == "pairrm" and not settings.model:
            raise InvalidInput(f"{PREFIX}MODEL is not set; give a folder or a hub id such as llm-blender/PairRM-hf.")
        return settings


def _variable(location: tuple[int | str, ...]) -> tuple[str]:
    return (PREFIX + str(location[0]).upper(),)
