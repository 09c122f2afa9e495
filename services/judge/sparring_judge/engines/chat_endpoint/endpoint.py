"""Questions to a chat endpoint, with the `openai` package: retries, timeouts and so many at a time; the one module with it."""

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import BoundedSemaphore
from typing import Annotated, Any
from urllib.parse import urlsplit, urlunsplit

import openai
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from sparring_judge.engines.chat_endpoint import metrics
from sparring_judge.engines.chat_endpoint.verdicts import Place, logit
from sparring_judge.engines.engine import Computed, Description
from sparring_judge.tasks.units import Unit, Value
from sparring_shared.errors import Broken, InvalidInput, SparringError, Unavailable
from sparring_shared.run_config import explain

_UNKNOWN = re.compile(r"unsupported|not support|unknown|unrecognized|not allowed|not permitted", re.IGNORECASE)

_NOT_NOW = (502, 503, 504)
"""Statuses by which whatever stands before an endpoint says that it is down or begins."""


@dataclass(frozen=True)
class Endpoint:
    """Where to ask which model, and how often."""

    url: str
    model: str
    api_key: SecretStr | None
    concurrency: int
    retries: int
    seconds: float
    max_tokens: int

    @property
    def shown(self) -> str:
        """The URL as it may be told, without a name and password in it."""
        parts = urlsplit(self.url)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Likely(_Part):
    token: str
    logprob: float


class _Token(_Part):
    token: str
    top_logprobs: tuple[_Likely, ...] | None = None


class _Logprobs(_Part):
    content: tuple[_Token, ...] | None = None


class _Message(_Part):
    content: str | None = None


class _Choice(_Part):
    message: _Message
    logprobs: _Logprobs | None = None


class _Usage(_Part):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class ChatAnswer(_Part):
    """What is read of a chat completion."""

    choices: Annotated[tuple[_Choice, ...], Field(min_length=1)]
    usage: _Usage | None = None

    @property
    def logit(self) -> float:
        """The verdict."""
        first = self.choices[0]
        tokens = (first.logprobs and first.logprobs.content) or ()
        places = [Place(one.token, [(other.token, other.logprob) for other in one.top_logprobs or ()]) for one in tokens]
        return logit(first.message.content or "", places)


class _Told(_Part):
    """What servers tell of a model, less what changes by itself: OpenAI tells the owner, vLLM the folder and its window too."""

    id: str | None = None
    owned_by: str | None = None
    root: str | None = None
    max_model_len: int | None = None


def told_of_model(endpoint: Endpoint) -> dict[str, Any]:
    """What the endpoint tells of its model, nothing where it does not answer such a question.

    Raises Unavailable where it answers nothing now: what it would have told is part of which judge it is.
    """
    try:
        with _client(endpoint, retries=min(2, endpoint.retries), seconds=endpoint.seconds) as client:
            raw = client.models.with_raw_response.retrieve(endpoint.model)
        return _Told.model_validate_json(raw.text).model_dump(exclude_none=True)
    except (openai.APIConnectionError, openai.RateLimitError) as error:
        raise _failure(endpoint, error) from None
    except openai.APIStatusError as error:
        if error.status_code in _NOT_NOW:
            raise _failure(endpoint, error) from None
        return {}
    except (openai.OpenAIError, ValidationError):
        return {}


def _client(endpoint: Endpoint, *, retries: int, seconds: float, hook: Callable[[Any], None] | None = None) -> openai.OpenAI:
    key = endpoint.api_key.get_secret_value() if endpoint.api_key else "none"
    http = openai.DefaultHttpx2Client(event_hooks={"request": [hook] if hook else []})
    return openai.OpenAI(base_url=endpoint.url, api_key=key, max_retries=retries, timeout=seconds, http_client=http)


class EndpointComputer:
    """A `Computer` that asks; a question that gets no answer is an error of its own unit."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.description = Description(endpoint.shown, batch_tokens=1, parallel=endpoint.concurrency)
        self._endpoint = endpoint
        self._free = BoundedSemaphore(endpoint.concurrency)
        self._refused: frozenset[str] = frozenset()
        self._client = _client(endpoint, retries=endpoint.retries, seconds=endpoint.seconds, hook=_count_request)

    def compute(self, units: Sequence[Unit]) -> Computed:
        """See `Computer`."""
        with ThreadPoolExecutor(min(len(units), self._endpoint.concurrency)) as threads:
            return Computed(tuple(threads.map(self._value, [str(unit.content) for unit in units])))

    def _value(self, question: str) -> Value:
        try:
            with self._free:
                answer = self._ask(question)
        except SparringError as error:
            metrics.FAILURES.labels(error.type).inc()
            return error
        if answer.usage is not None:
            metrics.PROMPT_TOKENS.inc(answer.usage.prompt_tokens)
            metrics.COMPLETION_TOKENS.inc(answer.usage.completion_tokens)
        return answer.logit

    def _ask(self, question: str) -> ChatAnswer:
        """The answer; what the endpoint does not know is left out from then on. Raises SparringError."""
        while True:
            options = self._options()
            try:
                raw = self._client.chat.completions.with_raw_response.create(
                    model=self._endpoint.model, messages=[{"role": "user", "content": question}], **options
                )
                return ChatAnswer.model_validate_json(raw.text)
            except openai.BadRequestError as error:
                refused = refused_options(error.message) & options.keys()
                if not refused:
                    raise _failure(self._endpoint, error) from None
                self._refused = self._refused | refused
            except openai.APIError as error:
                raise _failure(self._endpoint, error) from None
            except ValidationError as error:
                problem = explain(error.errors()[:1])
                raise Broken(f"{self._endpoint.shown} answered something else than a chat completion: {problem}") from None

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {
            "temperature": 0,
            "max_tokens": self._endpoint.max_tokens,
            "logprobs": True,
            "top_logprobs": 20,
        }
        if "max_tokens" in self._refused:
            options["max_completion_tokens"] = self._endpoint.max_tokens
        return {name: value for name, value in options.items() if name not in self._refused}


def _failure(endpoint: Endpoint, error: openai.APIError) -> SparringError:
    url = endpoint.shown
    match error:
        case openai.AuthenticationError() | openai.PermissionDeniedError():
            return Unavailable(f"{url} refuses the key; set SPARRING_JUDGE_API_KEY to one that it knows.")
        case openai.NotFoundError():
            return Unavailable(f"{url} knows no model {endpoint.model}; correct SPARRING_JUDGE_URL or _MODEL.")
        case openai.RateLimitError():
            return Unavailable(f"{url} refuses more requests; try again later or lower SPARRING_JUDGE_CONCURRENCY.")
        case openai.BadRequestError() | openai.UnprocessableEntityError():
            return InvalidInput(f"{url} refuses the question: {error.message.splitlines()[0][:300]}")
        case openai.APITimeoutError():
            return Unavailable(f"{url} did not answer in {endpoint.seconds:g} s; raise SPARRING_JUDGE_ANSWER_SECONDS.")
        case openai.APIStatusError():
            return Unavailable(f"{url} fails with status {error.status_code}; see its log.")
        case _:
            return Unavailable(f"{url} cannot be reached ({type(error).__name__}); start it or correct SPARRING_JUDGE_URL.")


def refused_options(message: str) -> frozenset[str]:
    """Which options an endpoint does not take, by its error message; several ask for fewer log-probs, or for none."""
    if "logprobs" in message:
        return frozenset({"logprobs", "top_logprobs"})
    named = {name for name in ("max_tokens", "temperature") if name in message}
    return frozenset(named if _UNKNOWN.search(message) else ())


def _count_request(request: Any) -> None:
    """Called before each request, with the client's own request."""
    metrics.REQUESTS.inc()
    if request.headers.get("x-stainless-retry-count", "0") != "0":
        metrics.RETRIES.inc()
