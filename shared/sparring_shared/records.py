"""The nouns of a round: prompt -> candidates -> preference matrix -> pair, each with the policy that made it.

K is the number of candidates of a prompt, N the number of tokens of one answer.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Record(BaseModel):
    """Base of all records: frozen; a key that it does not know is an error, and so is a number that JSON cannot hold."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Message(Record):
    """One turn of a conversation, e.g. `Message(role="user", content="What is zinc?")`."""

    role: Literal["system", "user", "assistant"]
    content: str


class Prompt(Record):
    """A conversation that waits for the assistant, e.g. `Prompt(prompt_id="9f2c...", messages=(Message(...),))`."""

    prompt_id: str
    messages: Annotated[tuple[Message, ...], Field(min_length=1)]


class PolicyRef(Record):
    """Which weights: `PolicyRef(version=2, digest="sha256:5e0c...")`; version 0 is the base model."""

    version: Annotated[int, Field(ge=0)]
    digest: str


class Candidate(Record):
    """One sampled answer.

    `token_ids` [N] are the sampled tokens, with what ended the answer: the end-of-turn token or a stop string;
    `logprob` is the sum over them of log pi(token), in nats, untempered, under the policy that sampled them. `text` is what
    is judged: without that end and without thinking, empty where the thinking never ended. `finish_reason` is "length" at
    `max_tokens`, "thinking" for an answer that ended of itself while it was thinking.

    Example: `Candidate(text="A metal.", token_ids=(31, 90, 2), logprob=-1.7, finish_reason="stop")`.
    """

    text: str
    token_ids: tuple[int, ...]
    logprob: float
    finish_reason: Literal["stop", "length", "thinking"]

    @property
    def finished(self) -> bool:
        """Whether the answer came to its own end."""
        return self.finish_reason == "stop"


class CandidateSet(Record):
    """The K answers of one policy to one prompt; `candidates` [K], K >= 2.

    `prompt` is the conversation as it was asked, with the run's system prompt; `prompt_token_ids` are what the policy read,
    and `prompt_text` what its chat template made of the conversation, None where it made no text.
    """

    prompt: Prompt
    prompt_token_ids: tuple[int, ...]
    prompt_text: str | None
    candidates: Annotated[tuple[Candidate, ...], Field(min_length=2)]
    policy: PolicyRef


class Answer(Record):
    """One answer to a held-out prompt, for the evaluation of a policy; `prompt_text` as in `CandidateSet`."""

    prompt: Prompt
    prompt_text: str | None = None
    candidate: Candidate
    policy: PolicyRef


class JudgeRef(Record):
    """Which judge: `JudgeRef(name="demo-judge", revision="sha256:91ab...+3fa2c1d09e77", engine="pairrm")`; see `JudgeInfo`."""

    name: str
    revision: str
    engine: str = ""

    def __str__(self) -> str:
        """For people, e.g. `demo-judge (pairrm, sha256:91ab...+3fa2c1d09e77)`."""
        return f"{self.name} ({', '.join(part for part in (self.engine, self.revision) if part)})"


class PreferenceMatrix(Record):
    """What the judge said of the K candidates of one prompt.

    `logits` [K][K]: raw judge logit with i shown first and j second, diagonal 0. `probs` [K][K]: P(i beats j), with
    probs[i][j] + probs[j][i] = 1 and diagonal 0.5. `truncated` [K]: the judge saw only the beginning of the answer.
    Where the judge was not asked (selections `knockout` and `random`) logit and probability are NaN.

    Example (K=2): `logits=((0, 1.2), (-0.8, 0))`, `probs=((0.5, 0.731), (0.269, 0.5))`, `truncated=(False, False)`.
    """

    model_config = ConfigDict(allow_inf_nan=True)

    prompt_id: str
    logits: tuple[tuple[float, ...], ...]
    probs: tuple[tuple[float, ...], ...]
    truncated: tuple[bool, ...]
    judge: JudgeRef


class Pair(Record):
    """A chosen and a rejected answer to train on.

    `prompt`, `chosen`, `rejected` are conversations (the answers are one assistant message each), as other preference
    trainers expect them; `*_token_ids` and `*_logprob` are those of `CandidateSet` and `Candidate`. Win rates are against all
    K candidates, self included as 0.5 (or those of them that were judged, or that `judge.estimator_k` drew);
    `chosen_beats_rejected` is probs[chosen_index][rejected_index]. `*_score` is the mean over all K of the order-averaged
    logit (C_ij - C_ji) / 2, None where it was not judged against all.
    """

    prompt_id: str
    prompt: tuple[Message, ...]
    chosen: tuple[Message, ...]
    rejected: tuple[Message, ...]
    prompt_token_ids: tuple[int, ...]
    chosen_token_ids: tuple[int, ...]
    rejected_token_ids: tuple[int, ...]
    chosen_logprob: float
    rejected_logprob: float
    chosen_win_rate: Annotated[float, Field(ge=0, le=1)]
    rejected_win_rate: Annotated[float, Field(ge=0, le=1)]
    chosen_beats_rejected: Annotated[float, Field(ge=0, le=1)]
    chosen_score: float | None = None
    rejected_score: float | None = None
    chosen_index: int
    rejected_index: int
    policy: PolicyRef
