"""The openai engine: any chat endpoint that speaks OpenAI's protocol is asked which of two answers is better.

Its tokenizer is not known here: four characters count as a token, for limits and for what is told of lengths.
"""

from dataclasses import asdict
from functools import partial

from sparring_judge.engines.chat_endpoint.question import fill, read_template
from sparring_judge.engines.engine import Engine
from sparring_judge.engines.models.revision import revision
from sparring_judge.settings import JudgeSettings
from sparring_judge.tasks.dialogue import valid_text
from sparring_judge.tasks.task import Task
from sparring_judge.tasks.units import Limits, Plan, Reading, Unit, unit_key
from sparring_shared.records import JudgeRef

_CHARACTERS = 4
_LIMITS = Limits(source_max_tokens=16_384, candidate_max_tokens=8_192)


class OpenAiReader:
    """One unit, the text of a question, for each ordered pair of distinct answers."""

    name = "openai"

    def __init__(self, ref: JudgeRef, limits: Limits, template: str) -> None:
        self.ref = ref
        self.limits = limits
        self._template = template

    def plan(self, task: Task) -> Plan:
        """See `Reader`. Raises InvalidInput for a text that is not valid Unicode."""
        tokens = [_tokens(valid_text(text)) for text in (task.prompt, *task.candidates)]
        room = self.limits.source_max_tokens
        each = self.limits.candidate_max_tokens + max(0, room - tokens[0]) // 2
        prompt, answers = _cut(task.prompt, room), [_cut(text, each) for text in task.candidates]
        questions = {(i, j): fill(self._template, {"prompt": prompt, "a": answers[i], "b": answers[j]}) for i, j in task.games}
        distinct = {text: at for at, text in enumerate(dict.fromkeys(questions.values()))}
        return Plan(
            units=tuple(Unit(unit_key(self.ref, text), _tokens(text), text) for text in distinct),
            games={game: ((1.0, distinct[text]),) for game, text in questions.items()},
            reading=Reading(tokens[0], tokens[0] > room, tuple(tokens[1:]), tuple(count > each for count in tokens[1:])),
        )


def load_openai(settings: JudgeSettings) -> Engine:
    """The engine that the settings name; the endpoint is asked about the model alone.

    Raises InvalidInput for a template that is none, Unavailable for an endpoint that answers nothing now.

    An endpoint does not tell which weights it has: the revision is that of the settings, if any, with a digest of its address,
    the question, and what it tells of the model.
    """
    from sparring_judge.engines.chat_endpoint.endpoint import Endpoint, EndpointComputer, told_of_model

    template = read_template(settings.template)
    limits = Limits(
        settings.source_max_tokens or _LIMITS.source_max_tokens, settings.candidate_max_tokens or _LIMITS.candidate_max_tokens
    )
    endpoint = Endpoint(
        url=settings.url,
        model=settings.model,
        api_key=settings.api_key,
        concurrency=settings.concurrency,
        retries=settings.retries,
        seconds=settings.answer_seconds,
        max_tokens=settings.answer_tokens,
    )
    others = {
        "url": endpoint.shown,
        "template": template,
        "limits": asdict(limits),
        "answer_tokens": settings.answer_tokens,
        "told": told_of_model(endpoint),
    }
    at = revision(settings.revision or "endpoint", **others)
    ref = JudgeRef(name=settings.model, revision=at, engine=OpenAiReader.name)
    return Engine(OpenAiReader(ref, limits, template), partial(EndpointComputer, endpoint), pinned=False)


def _tokens(text: str) -> int:
    return -(-len(text) // _CHARACTERS)


def _cut(text: str, tokens: int) -> str:
    return text[: tokens * _CHARACTERS]
