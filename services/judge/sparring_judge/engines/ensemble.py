"""The ensemble engine: several judges at once; the logit is the weighted mean of theirs.

A mean of log-odds (a logarithmic opinion pool): one judge that is very sure outweighs several that are in doubt.
"""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from sparring_judge.engines.engine import Computed, Computer, Description, Engine, Reader
from sparring_judge.settings import PREFIX, JudgeSettings
from sparring_judge.tasks.task import Game, Task
from sparring_judge.tasks.units import Limits, Plan, Reading, Term, Unit, Value, unit_key
from sparring_shared.errors import InvalidInput
from sparring_shared.records import JudgeRef
from sparring_shared.run_config import explain

_VARIABLE = PREFIX + "MEMBERS"
_OF_A_MEMBER = {
    *("engine", "model", "revision", "trust_remote_code", "device", "precision", "threads"),
    *("source_max_tokens", "candidate_max_tokens"),
    *("url", "api_key", "template", "concurrency", "retries", "answer_seconds", "answer_tokens"),
}
_WEIGHT = TypeAdapter(Annotated[float, Field(gt=0, allow_inf_nan=False)])


@dataclass(frozen=True)
class Member:
    """A judge of an ensemble: its own settings, those of the ensemble where it has none, and what its word weighs."""

    settings: JudgeSettings
    weight: float


def read_members(settings: JudgeSettings) -> tuple[Member, ...]:
    """The judges that `members` describes, e.g. `[{"engine": "pairrm", "model": "...", "weight": 2}, {"engine": ...}]`.

    Raises InvalidInput with one sentence that names the variable, the member and the key.
    """
    if len(settings.members) < 2:
        raise InvalidInput(f"{_VARIABLE} names {len(settings.members)}; an ensemble needs two judges at least.")
    return tuple(_member(settings, at, described) for at, described in enumerate(settings.members))


def _member(settings: JudgeSettings, at: int, described: dict[str, Any]) -> Member:
    unknown = sorted(described.keys() - _OF_A_MEMBER - {"weight"})
    if unknown:
        raise InvalidInput(
            f"{_VARIABLE}.{at}.{unknown[0]}: no such key; a member has {', '.join(sorted(_OF_A_MEMBER))}, weight."
        )
    if described.get("engine", "ensemble") == "ensemble":
        raise InvalidInput(f"{_VARIABLE}.{at}.engine: name an engine other than ensemble.")
    ours = settings.model_dump() | {"model": "", "revision": None, "members": ()}
    try:
        weight = _WEIGHT.validate_python(described.get("weight", 1.0))
        own = JudgeSettings.model_validate(ours | {key: value for key, value in described.items() if key != "weight"})
    except ValidationError as error:
        found = [{**item, "loc": (f"{_VARIABLE}.{at}", *(item["loc"] or ("weight",)))} for item in error.errors()]
        raise InvalidInput(explain(found)) from None
    if own.engine != "fake" and not own.model:
        raise InvalidInput(f"{_VARIABLE}.{at}.model: is missing; give a folder or a hub id.")
    return Member(own, weight)


class EnsembleReader:
    """The units of all members; each game's terms are those of the members times their share."""

    name = "ensemble"

    def __init__(self, readers: Sequence[Reader], weights: Sequence[float]) -> None:
        self._readers = readers
        self._shares = [weight / sum(weights) for weight in weights]
        self.limits = Limits(
            min(reader.limits.source_max_tokens for reader in readers),
            min(reader.limits.candidate_max_tokens for reader in readers),
        )
        described = "\n".join(
            f"{one.name} {one.ref.name} {one.ref.revision} {share!r}" for one, share in zip(readers, self._shares, strict=True)
        )
        self.ref = JudgeRef(
            name=" + ".join(reader.ref.name for reader in readers),
            revision="sha256:" + hashlib.sha256(described.encode()).hexdigest(),
            engine=self.name,
        )

    def plan(self, task: Task) -> Plan:
        """See `Reader`. Raises what a member raises."""
        plans = [reader.plan(task) for reader in self._readers]
        units: list[Unit] = []
        terms: dict[Game, tuple[Term, ...]] = dict.fromkeys(task.games, ())
        for member, (plan, share) in enumerate(zip(plans, self._shares, strict=True)):
            for game, theirs in plan.games.items():
                terms[game] += tuple((share * weight, len(units) + at) for weight, at in theirs)
            units += [Unit(unit_key(self.ref, str(member), unit.key.hex()), unit.tokens, (member, unit)) for unit in plan.units]
        return Plan(tuple(units), terms, _least([plan.reading for plan in plans]))


def _least(readings: Sequence[Reading]) -> Reading:
    """What all members read: a text is cut if any of them cuts it, and has as many tokens as it has for the finest of them."""
    return Reading(
        prompt_tokens=max(reading.prompt_tokens for reading in readings),
        prompt_truncated=any(reading.prompt_truncated for reading in readings),
        tokens=tuple(map(max, zip(*(reading.tokens for reading in readings), strict=True))),
        truncated=tuple(map(any, zip(*(reading.truncated for reading in readings), strict=True))),
    )


class EnsembleComputer:
    """A `Computer` over those of the members, which compute at the same time."""

    def __init__(self, computers: Sequence[Computer]) -> None:
        described = [computer.description for computer in computers]
        self._computers = computers
        self.description = Description(
            device=" + ".join(one.device for one in described),
            batch_tokens=max(one.batch_tokens for one in described),
            parallel=min(one.parallel for one in described),
            note="; ".join(one.note for one in described if one.note) or None,
        )

    def compute(self, units: Sequence[Unit]) -> Computed:
        """See `Computer`."""
        tagged: list[tuple[int, Unit]] = [unit.content for unit in units]  # pyright: ignore[reportAssignmentType]  # the reader's
        values: list[Value] = [0.0] * len(units)
        with ThreadPoolExecutor(len(self._computers)) as threads:
            parts = [
                [at for at, (member, _) in enumerate(tagged) if member == wanted] for wanted in range(len(self._computers))
            ]
            asked = [
                (part, threads.submit(computer.compute, [tagged[at][1] for at in part]))
                for part, computer in zip(parts, self._computers, strict=True)
                if part
            ]
            for part, answer in asked:
                for at, value in zip(part, answer.result().values, strict=True):
                    values[at] = value
        return Computed(tuple(values), sum(answer.result().padding for _, answer in asked))


def join_engines(engines: Sequence[Engine], weights: Sequence[float]) -> Engine:
    """The engine of several."""
    reader = EnsembleReader([engine.reader for engine in engines], weights)
    load = partial(_computer, tuple(engine.load for engine in engines))
    return Engine(reader, load, pinned=all(engine.pinned for engine in engines))


def _computer(loads: Sequence[Callable[[], Computer]]) -> EnsembleComputer:
    return EnsembleComputer([load() for load in loads])
