"""The run config: everything that determines a run, as one TOML file or the JSON body of `POST /v1/runs`.

A key that is not known here is an error. Defaults are the settings of the SPPO paper (arXiv 2405.00675, section 5.1) where
it states one, but for its schedule over 18 epochs.
"""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, FiniteFloat, ValidationError, model_validator

from sparring_shared.algorithms import Algorithm, Positive, unusable
from sparring_shared.algorithms import InpoConfig as InpoConfig
from sparring_shared.algorithms import SppoConfig as SppoConfig
from sparring_shared.errors import InvalidInput
from sparring_shared.prompt_sources import PromptsConfig as PromptsConfig
from sparring_shared.records import Record
from sparring_shared.wire.judge import WITHOUT_MODEL, EngineName

Count = Annotated[int, Field(ge=1)]
Temperature = Annotated[float, Field(ge=0, le=2)]
TopP = Annotated[float, Field(gt=0, le=1)]
TemplateArgument = str | bool | int | FiniteFloat | list[str]


class PolicyConfig(Record):
    """The base model, version 0: a folder or a Hugging Face hub id, at a hub revision if one is given."""

    model: Annotated[str, Field(min_length=1)]
    revision: str | None = None


class SamplingConfig(Record):
    """How the policy is asked and answers: K answers a prompt, in shards of `shard_size` prompts that stream on.

    `system` is put before conversations that have no system prompt; the judge sees it too. `template_arguments` go to the
    chat template by name, e.g. `{enable_thinking = false}`. An answer ends at the strings of `stop`, which are trained on but
    not judged, like the end of a turn. With `reasoning_parser` "think" neither is what stands between `<think>` and
    `</think>`. `drop_unfinished` leaves out answers that ended at `max_tokens` or while thinking, so K varies from prompt to
    prompt: win rates are then against the finished answers alone, and the fewer they are the more the answer itself counts.
    """

    k: Annotated[int, Field(ge=2, le=32)] = 5
    temperature: Temperature = 1.0
    top_p: TopP = 1.0
    top_k: Count | None = None
    min_p: Annotated[float, Field(ge=0, lt=1)] = 0.0
    max_tokens: Count = 2048
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    system: Annotated[str, Field(min_length=1)] | None = None
    template_arguments: dict[str, TemplateArgument] = Field(default_factory=dict)
    reasoning_parser: Literal["think"] | None = None
    drop_unfinished: bool = False
    shard_size: Count = 128


class JudgeConfig(Record):
    """Which judge, and how its logits become probabilities: `pairwise`, or `official` as the published SPPO scripts do it.

    `engine`, `model` (a folder or a hub id) and `revision` (a commit of the hub, or the beginning of what `GET /v1/judge` calls
    its revision) name the judge; what is left out is taken from the one that answers when the run is made, to which the run is
    pinned in any case. `service` is a name in `SPARRING_JUDGE_URLS`. A judge whose weights nobody knows (an endpoint) is
    watched: `max_drift` is how much its probabilities of 32 fixed pairs may have changed at the start of a round, in the mean.
    `max_requests` and `max_tokens` bound what the judges of a run compute anew: ordered pairs (of an endpoint, requests), and
    tokens read for them, as the judge counts them. What a worker spent that was killed is not counted.

    With `estimator_k` a win rate is the mean over that many of the K answers (all, where fewer are left): the pair's own two
    and others drawn at random; 2 is the ablation of the SPPO paper (figure 4). Without it, over all K. With `templated`
    the judge reads the prompt as the policy's chat template writes it, as the published SPPO scripts show it to PairRM,
    instead of its messages.
    """

    estimator: Literal["pairwise", "official"] = "pairwise"
    estimator_k: Annotated[int, Field(ge=2)] | None = None
    templated: bool = False
    engine: EngineName | None = None
    model: Annotated[str, Field(min_length=1)] | None = None
    revision: Annotated[str, Field(min_length=1)] | None = None
    service: Annotated[str, Field(min_length=1)] = "default"
    max_drift: Annotated[float, Field(gt=0, lt=1)] = 0.05
    max_requests: Count | None = None
    max_tokens: Count | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if self.model is None and self.engine not in (None, *WITHOUT_MODEL):
            raise ValueError(f"engine {self.engine} needs a model; set judge.model to a folder or a hub id")
        if self.model is None and self.revision is not None:
            raise ValueError("revision is that of a model; set judge.model, or leave judge.revision out")
        return self


class SelectionConfig(Record):
    """Which of the K answers are trained on.

    `best_worst`: the extremes of the mean logit (SPPO). `knockout`: INPO's tournament; the judge is asked only for its games.
    `all`: every answer with its own win rate, as SPPO's Algorithm 1 permits, and all weigh the same: with an even K each stands
    in one pair (K / 2 pairs a prompt), with an odd K in two (K pairs, so every answer is trained on twice). `random`: two
    answers drawn at random, which of them is the chosen one by their probability (what INPO's eq. 8 assumes); the judge is
    asked only for this pair, or for these two against the others where the loss looks at win rates or scores.
    """

    name: Literal["best_worst", "knockout", "all", "random"] = "best_worst"


class TrainingConfig(Record):
    """One round's training. Lengths are tokens, `batch_size` is pairs per optimizer step.

    The learning-rate schedule is laid out over `schedule_epochs` and cut after `train_epochs` (the SPPO paper: 18 and 1);
    without `schedule_epochs` the two are the same. `micro_batch_tokens` bounds the memory of one forward pass.
    """

    learning_rate: Positive = 5e-7
    optimizer: Literal["rmsprop", "adamw"] = "rmsprop"
    schedule: Literal["linear", "cosine", "constant_with_warmup"] = "linear"
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.1
    train_epochs: Count = 1
    schedule_epochs: Count | None = None
    batch_size: Count = 64
    micro_batch_tokens: Count = 8192
    max_length: Count = 1024
    max_prompt_length: Count = 512
    max_grad_norm: Positive = 1.0
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    precision: Literal["fp32", "bf16"] = "bf16"
    gradient_checkpointing: bool = False

    @model_validator(mode="after")
    def _lengths_fit(self) -> Self:
        if self.max_prompt_length >= self.max_length:
            raise ValueError(
                f"max_prompt_length must be smaller than max_length, but it is {self.max_prompt_length} of {self.max_length}"
            )
        if self.schedule_epochs is not None and self.schedule_epochs < self.train_epochs:
            raise ValueError(
                f"schedule_epochs must be at least train_epochs, but it is {self.schedule_epochs} of {self.train_epochs}"
            )
        return self


class EvaluationConfig(Record):
    """Each round's policy against the previous one and the base, on up to `prompts` held-out prompts.

    The policy is asked as in `[sampling]`; `temperature`, `top_p` and `max_tokens`, where given, are the evaluation's own. No
    answer is left out: one that never ended its thinking is judged as an empty text.
    `checker` names an exact checker of answers that the judge never sees, installed on the controller and its workers as an
    entry point of the group `sparring.checkers`; `small-world` is the demo's. `judge` is a name in
    `SPARRING_JUDGE_URLS`: another judge than the one that is trained on, pinned like it.
    """

    prompts: Count = 256
    temperature: Temperature | None = None
    top_p: TopP | None = None
    max_tokens: Count | None = None
    checker: str | None = None
    judge: Annotated[str, Field(min_length=1)] | None = None


class RunConfig(Record):
    """A run: `rounds` rounds of one algorithm from one base model. `seed` fixes prompt order, sampling and training.

    `deterministic`: the run comes out the same to the bit on the same CPU with services set up alike, whatever dies and is done
    again. 32 prompts are asked about at a time, whatever SPARRING_SAMPLING_CONCURRENCY says, a shard always as a whole, and the
    judge computes each item alone, which takes longer. A GPU, or a judge behind an endpoint, does not keep this promise.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    rounds: Count = 3
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    deterministic: bool = False
    policy: PolicyConfig
    prompts: PromptsConfig
    sampling: SamplingConfig = SamplingConfig()
    judge: JudgeConfig = JudgeConfig()
    selection: SelectionConfig = SelectionConfig()
    algorithm: Algorithm = SppoConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        reason = unusable(self.algorithm, self.selection.name)
        if reason is not None:
            raise ValueError(reason)
        if self.deterministic and self.judge.engine == "openai":
            raise ValueError("deterministic cannot be kept by a judge behind an endpoint (judge.engine openai); leave it out")
        if self.selection.name == "knockout" and self.judge.estimator == "official":
            raise ValueError(
                "judge.estimator official needs all pairs judged, but selection knockout asks for few; use pairwise"
            )
        if self.selection.name == "all" and self.sampling.drop_unfinished:
            raise ValueError(
                "selection all weighs every answer alike, which needs as many answers of each prompt; "
                "leave out sampling.drop_unfinished"
            )
        if self.prompts.rounds is not None and len(self.prompts.rounds) != self.rounds:
            raise ValueError(
                f"prompts.rounds names {len(self.prompts.rounds)} sources, but rounds is {self.rounds}; give one for each round"
            )
        if self.judge.estimator_k is not None and self.judge.estimator_k > self.sampling.k:
            raise ValueError(
                f"judge.estimator_k must be at most sampling.k, but it is {self.judge.estimator_k} of {self.sampling.k}"
            )
        return self


def explain(problems: Iterable[Mapping[str, Any]]) -> str:
    """One sentence for pydantic's list of problems.

    Example: `sampling.k: Input should be greater than or equal to 2 (it is 1).`
    """
    parts: list[str] = []
    for item in problems:
        place = ".".join(str(part) for part in item["loc"]) or "the whole"
        if item["type"] == "extra_forbidden":
            parts.append(f"{place}: no such key; remove it or correct its name")
        elif item["type"] == "missing":
            parts.append(f"{place}: is missing")
        else:
            value = item["input"]
            shown = f" (it is {value!r})" if isinstance(value, int | float | str) and len(str(value)) < 80 else ""
            parts.append(f"{place}: {item['msg'].removeprefix('Value error, ')}{shown}")
    return "; ".join(parts) + "."


def read_run_config(path: Path) -> RunConfig:
    """Parse and validate a TOML run config. Raises InvalidInput with one sentence that names file, key and value.

    With `extends = "other.toml"`, beside it, it holds only what differs from that config.
    """
    try:
        return RunConfig.model_validate(_table(path))
    except ValidationError as error:
        raise InvalidInput(f"{path}: {explain(error.errors())}") from None


def _table(path: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError):
        raise InvalidInput(f"There is no run config at {path}; give the path of a TOML file.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} is not valid TOML: {error}.") from None
    base = table.pop("extends", None)
    if base is None:
        return table
    if not isinstance(base, str) or path.resolve() in seen:
        raise InvalidInput(f"{path}: extends must name another run config, which does not extend this one (it is {base!r}).")
    return extended(_table(path.parent / base, (*seen, path.resolve())), table)


def extended(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the keys of `changes` in the place of its own; a table with another `name` replaces the base's whole.

    Example: `extended({"algorithm": {"name": "sppo", "eta": 9}}, {"algorithm": {"eta": 7}}) == {"algorithm": {"name": "sppo",
    "eta": 7}}`, while `{"algorithm": {"name": "dpo"}}` leaves no `eta`.
    """
    merged = dict(base)
    for key, value in changes.items():
        before = base.get(key)
        if isinstance(value, dict) and isinstance(before, dict) and value.get("name", before.get("name")) == before.get("name"):
            merged[key] = {**before, **value}
        else:
            merged[key] = value
    return merged
