"""Settings of the judge process, from `SPARRING_JUDGE_*` variables."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from sparring_judge.precision import Precision
from sparring_shared.errors import InvalidInput
from sparring_shared.run_config import explain

PREFIX = "SPARRING_JUDGE_"
Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]
EngineName = Literal["pairrm", "llm-blender", "pair-lm", "reward", "openai", "ensemble", "fake"]


class JudgeSettings(BaseSettings):
    """What `python -m sparring_judge` reads.

    `model` is a folder or a Hugging Face hub id (at `revision`, if one is given), for `openai` the name that the endpoint at
    `url` knows; `ensemble` and `fake` need none. `device` is `auto`, `cpu`, `cuda`, `cuda:1`, `mps` ...; `precision` is fp32
    on a CPU and on a GPU fp16 for PairRM, bf16 for language models, unless set. `workers` processes compute, each with
    `threads` torch threads on the CPU and a model of its own, on `auto` and `cuda` in turns on the cards that are in sight;
    with one, the process that answers computes as well. Token limits, in tokens with tag and separators, are those of the
    model's config unless set here.

    A request may hold `max_items` items of `max_candidates` answers, and `max_passes` comparisons, both orders counted.
    `max_queued` units of work may wait before a request is refused (429); a request may take `deadline_seconds`; when the
    process is asked to end, it has `drain_seconds` to finish what it began. `lone_answer_against` is the answer that a
    compatibility route compares an answer with that has no rival in its request.

    For `openai`: `url` is the endpoint's base, `template` a file with the question (see `question.py`); `concurrency` questions
    are asked at once, each tried `retries` times more when the endpoint is busy or fails, `answer_seconds` a try; an answer may
    have `answer_tokens` (more for a model that reasons first). For `ensemble`: `members`, see `ensemble.py`.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", env_ignore_empty=True)

    engine: EngineName = "pairrm"
    model: str = ""
    revision: str | None = None
    trust_remote_code: bool = False

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8002
    token: SecretStr | None = None

    device: Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")] = "auto"
    precision: Precision | None = None
    threads: Count = 1
    workers: Count = 1

    max_items: Count = 256
    max_candidates: Annotated[int, Field(ge=2, le=32)] = 32
    max_passes: Count = 65_536
    max_body_bytes: Count = 16 << 20
    max_queued: Count = 100_000
    deadline_seconds: Seconds = 600
    drain_seconds: Seconds = 30
    cache_entries: Annotated[int, Field(ge=0)] = 200_000
    source_max_tokens: Annotated[int, Field(ge=4)] | None = None
    candidate_max_tokens: Annotated[int, Field(ge=4)] | None = None

    lone_answer_against: str = ""

    url: str = "http://127.0.0.1:8001/v1"
    api_key: SecretStr | None = None
    template: str | None = None
    concurrency: Count = 8
    retries: Annotated[int, Field(ge=0)] = 5
    answer_seconds: Seconds = 60
    answer_tokens: Count = 16

    members: tuple[dict[str, Any], ...] = ()

    @classmethod
    def read(cls) -> Self:
        """The settings of this process. Raises InvalidInput with one sentence that names the variable."""
        try:
            settings = cls()
        except ValidationError as error:
            raise InvalidInput(explain({**item, "loc": _variable(item["loc"])} for item in error.errors())) from None
        except SettingsError:
            raise InvalidInput(
                f'{PREFIX}MEMBERS is not JSON; give a list like [{{"engine": "pairrm", "model": "..."}}].'
            ) from None
        if settings.engine not in ("ensemble", "fake") and not settings.model:
            raise InvalidInput(f"{PREFIX}MODEL is not set; give a folder or a hub id such as llm-blender/PairRM-hf.")
        return settings


def _variable(location: tuple[int | str, ...]) -> tuple[str]:
    return (PREFIX + str(location[0]).upper(),)
