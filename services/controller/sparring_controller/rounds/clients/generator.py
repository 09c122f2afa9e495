"""The generator: which policy is loaded, and K answers of it to one prompt."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError

from sparring_controller.rounds.clients.thinking import final_answer
from sparring_shared.client import ServiceClient
from sparring_shared.errors import Broken, InvalidInput, PolicyMismatch, Unavailable
from sparring_shared.records import Candidate, Prompt, Record
from sparring_shared.run_config import TemplateArgument
from sparring_shared.wire.generator import POLICY_HEADER, PolicyLoad, PolicyStatus
from sparring_shared.wire.trainer import CheckpointRef


class PromptRefused(InvalidInput):
    """The chat template does not take the prompt, or vLLM the request."""


class PromptTooLong(PromptRefused):
    """Prompt and answer do not fit the model's context."""


class Sampling(Record):
    """How to answer one prompt: `n` answers of at most `max_tokens` tokens; `seed` makes them the same again.

    Names are vLLM's, but for `reasoning_parser`, which is read here: vLLM knows one for all that it serves.
    """

    n: int
    temperature: float
    top_p: float
    max_tokens: int
    seed: int
    top_k: int | None = None
    min_p: float = 0.0
    stop: tuple[str, ...] = ()
    chat_template_kwargs: dict[str, TemplateArgument] = Field(default_factory=dict)
    reasoning_parser: Annotated[Literal["think"] | None, Field(exclude=True)] = None


class Sampled(Record):
    """The answers to one prompt in the order of their index, and the prompt as the policy read it."""

    prompt_token_ids: tuple[int, ...]
    prompt_text: str | None
    candidates: tuple[Candidate, ...]


class _Request(Sampling):
    model: Literal["policy"] = "policy"
    messages: tuple[Any, ...]
    logprobs: Literal[True] = True
    return_token_ids: Literal[True] = True
    return_prompt_text: Literal[True] = True


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
    prompt_token_ids: list[int]
    prompt_text: str | None = None
    choices: list[_Choice]


class _Model(BaseModel):
    root: str
    max_model_len: int


class _Models(BaseModel):
    data: list[_Model]


class _Tokenize(Record):
    model: Literal["policy"] = "policy"
    messages: tuple[Any, ...]
    chat_template_kwargs: dict[str, TemplateArgument]


class _Tokenized(BaseModel):
    count: int


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

    def sample(self, prompt: Prompt, sampling: Sampling, digest: str) -> Sampled:
        """The answers of the policy with this digest.

        Raises PolicyMismatch when another policy is loaded, PromptRefused, Unavailable for an answer that was broken off, or
        Broken for one that cannot be used.
        """
        request = _Request(messages=prompt.messages, **sampling.model_dump())
        try:
            response = self._service.raw("POST", "/v1/chat/completions", request, {POLICY_HEADER: digest})
        except InvalidInput as error:
            too_long = "maximum context length" in error.message
            raise (PromptTooLong if too_long else PromptRefused)(error.message) from None
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
        return Sampled(
            prompt_token_ids=tuple(completion.prompt_token_ids),
            prompt_text=completion.prompt_text,
            candidates=tuple(_candidate(choice, completion.prompt_text, sampling) for choice in choices),
        )

    def context(self, folder: str) -> int | None:
        """How many tokens, prompt and answer together, it reads with the base model of this folder; None if it has another."""
        for card in self._service.call("GET", "/v1/models", _Models).data:
            if card.root == folder:
                return card.max_model_len
        return None

    def prompt_tokens(self, prompt: Prompt, template_arguments: dict[str, TemplateArgument]) -> int:
        """How many tokens a prompt has under the chat template. Raises SparringError where the template does not take it."""
        body = _Tokenize(messages=prompt.messages, chat_template_kwargs=template_arguments)
        return self._service.call("POST", "/tokenize", _Tokenized, body).count

    def close(self) -> None:
        """Give the connections back."""
        self._service.close()


def _candidate(choice: _Choice, prompt_text: str | None, sampling: Sampling) -> Candidate:
    if len(choice.token_ids) != len(choice.logprobs.content):
        counts = f"{len(choice.token_ids)} tokens and {len(choice.logprobs.content)} log-probabilities"
        raise Broken(f"The generator's answer has {counts}; they must be as many.")
    if choice.finish_reason == "abort":
        raise Unavailable("The generator broke an answer off, as it does when it ends; ask again.")
    if choice.finish_reason not in ("stop", "length"):
        raise Broken(f"The generator ended an answer with {choice.finish_reason!r}; only stop and length are whole.")
    whole = choice.message.content or ""
    text = whole if sampling.reasoning_parser is None else final_answer(prompt_text or "", whole)
    return Candidate(
        text=text or "",
        token_ids=tuple(choice.token_ids),
        logprob=sum(token.logprob for token in choice.logprobs.content),
        finish_reason="thinking" if text is None and choice.finish_reason == "stop" else choice.finish_reason,
    )
