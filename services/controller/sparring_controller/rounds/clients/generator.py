"""The generator: which policy is loaded, and K answers of it to one prompt."""

from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from sparring_shared.client import ServiceClient
from sparring_shared.errors import Broken, InvalidInput, PolicyMismatch, SparringError
from sparring_shared.records import Candidate, Prompt, Record
from sparring_shared.wire.generator import POLICY_HEADER, PolicyLoad, PolicyStatus
from sparring_shared.wire.trainer import CheckpointRef


class PromptTooLong(InvalidInput):
    """Prompt and answer do not fit the model's context."""


class Sampling(Record):
    """How to answer one prompt: `n` answers of at most `max_tokens` tokens; `seed` makes them the same again."""

    n: int
    temperature: float
    top_p: float
    max_tokens: int
    seed: int


class _Request(Sampling):
    model: Literal["policy"] = "policy"
    messages: tuple[Any, ...]
    logprobs: Literal[True] = True
    return_token_ids: Literal[True] = True


class _Message(BaseModel):
    content: str | None = None


class _Token(BaseModel):
    logprob: float


class _Logprobs(BaseModel):
    content: list[_Token]


class _Choice(BaseModel):
    """One choice of vLLM's answer, as far as a candidate needs it."""

    index: int
    message: _Message
    finish_reason: str
    token_ids: list[int]
    logprobs: _Logprobs


class _Completion(BaseModel):
    choices: list[_Choice]


class GeneratorClient:
    """Samples from one policy and from no other: `at_once` requests at a time, each to be answered in `seconds`."""

    def __init__(self, url: str, seconds: float = 600.0, at_once: int = 100) -> None:
        self._service = ServiceClient("generator", url, timeout=seconds, connections=at_once)

    def ensure(self, policy: CheckpointRef) -> None:
        """Have this policy loaded and probed, after waking. Raises CheckpointMismatch, or Broken when the probe fails."""
        loaded = self._service.call("GET", "/v1/policy", PolicyStatus)
        if loaded.state == "asleep":
            loaded = self._service.call("POST", "/v1/policy/wake", PolicyStatus)
        if (loaded.version, loaded.digest, loaded.state) == (policy.version, policy.digest, "ready"):
            return
        loaded = self._service.call("PUT", "/v1/policy", PolicyStatus, PolicyLoad.model_validate(policy.model_dump()))
        if loaded.digest != policy.digest:
            raise PolicyMismatch(f"The generator loaded {loaded.digest} where {policy.digest} was asked for.")

    def sleep(self) -> None:
        """Have it give its GPU memory back, once the samples in flight are done. Raises Conflict where it cannot."""
        self._service.call("POST", "/v1/policy/sleep", PolicyStatus)

    def sample(self, prompt: Prompt, sampling: Sampling, digest: str) -> tuple[Candidate, ...]:
        """The answers of the policy with this digest, in the order of their index.

        Raises PolicyMismatch when another policy is loaded, PromptTooLong, or Broken for an answer that cannot be used.
        """
        request = _Request(messages=prompt.messages, **sampling.model_dump())
        try:
            response = self._service.raw("POST", "/v1/chat/completions", request, {POLICY_HEADER: digest})
        except SparringError as error:
            if "maximum context length" in error.message:
                raise PromptTooLong(error.message) from None
            raise
        made_by = response.headers.get(POLICY_HEADER)
        if made_by != digest:
            raise PolicyMismatch(f"The generator answered with policy {made_by} where {digest} was asked for.")
        try:
            completion = _Completion.model_validate_json(response.content)
        except ValidationError as error:
            raise Broken(f"The generator's answer cannot be read: {error.errors()[0]['msg']}.") from None
        choices = sorted(completion.choices, key=lambda choice: choice.index)
        if len(choices) != sampling.n:
            raise Broken(f"The generator gave {len(choices)} answers where {sampling.n} were asked for.")
        return tuple(_candidate(choice) for choice in choices)

    def close(self) -> None:
        """Give the connections back."""
        self._service.close()


def _candidate(choice: _Choice) -> Candidate:
    if len(choice.token_ids) != len(choice.logprobs.content):
        counts = f"{len(choice.token_ids)} tokens and {len(choice.logprobs.content)} log-probabilities"
        raise Broken(f"The generator's answer has {counts}; they must be as many.")
    try:
        return Candidate.model_validate(
            {
                "text": choice.message.content or "",
                "token_ids": choice.token_ids,
                "logprob": sum(token.logprob for token in choice.logprobs.content),
                "finish_reason": choice.finish_reason,
            }
        )
    except ValidationError:
        raise Broken(f"The generator ended an answer with {choice.finish_reason!r}; only stop and length are whole.") from None
