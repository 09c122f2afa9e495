"""The judges of a run: those that answer when it is made, and those that the operator accepts in their place."""

from datetime import UTC, datetime
from pathlib import Path

from sparring_controller.rounds.clients import Services
from sparring_controller.rounds.stages.work import evaluation_service
from sparring_shared.artifacts import write_json
from sparring_shared.errors import InvalidInput
from sparring_shared.paths import RunPaths
from sparring_shared.run_config import JudgeConfig, RunConfig
from sparring_shared.wire.controller import AcceptedJudge, PinnedJudge, ResumeRequest, RunJudges
from sparring_shared.wire.judge import JudgeInfo

Answering = dict[str, JudgeInfo]
"""What the judges say of themselves now, by their names in SPARRING_JUDGE_URLS."""


def answering(config: RunConfig, services: Services) -> Answering:
    """The judges that the run would ask.

    Raises InvalidInput for a name that is not known here, Unavailable for a judge that is down.
    """
    keys = dict(((config.judge.service, "judge.service"), evaluation_service(config)))
    return {name: services.judge(name, key).info() for name, key in keys.items()}


def named_judges(config: RunConfig, services: Services) -> RunJudges:
    """What a new run is pinned to.

    Raises InvalidInput when another judge answers than the config names, one that does not take so many candidates, or one that
    cannot answer a deterministic run; Unavailable when none answers.
    """
    found, service = answering(config, services), config.judge.service
    _require(config, services.judges[service].url, found[service])
    for name in (name for name, info in found.items() if config.deterministic and not info.pinned):
        raise InvalidInput(
            f"The run is deterministic, but nobody knows whether the judge {found[name].ref} answers alike twice, as it is an "
            "endpoint; leave deterministic out, or take a judge with weights of its own."
        )
    return RunJudges(pinned={name: _pin(info) for name, info in found.items()})


def accepted(judges: RunJudges | None, found: Answering, number: int) -> RunJudges:
    """The same run with the judges that were found, and a note of each that is another one than before, or may be.

    Round `number` is the first that has not begun.
    """
    before = judges.pinned if judges else {}
    at = datetime.now(UTC).isoformat(timespec="seconds")
    notes = [
        AcceptedJudge(service=name, round=number, before=before[name].ref if name in before else None, after=now.ref, at=at)
        for name, now in found.items()
        if name not in before or before[name].ref != now.ref or not now.pinned
    ]
    pinned = before | {name: _pin(info) for name, info in found.items()}
    return RunJudges(pinned=pinned, accepted=(*(judges.accepted if judges else ()), *notes))


def write_judges(places: RunPaths, judges: RunJudges) -> None:
    """A copy of what the database says, for a command that is to start the judge."""
    write_json(places.judges, judges.model_dump(mode="json"))


def bounded(config: RunConfig, wanted: ResumeRequest) -> RunConfig:
    """The config with the bounds of the judges' bill that are wanted, if any."""
    bounds = {name: value for name, value in wanted.model_dump(exclude={"accept_judge"}).items() if value is not None}
    return config.model_copy(update={"judge": config.judge.model_copy(update=bounds)})


def mismatch(named: JudgeConfig, info: JudgeInfo) -> str | None:
    """The key of the config that names another judge, if one does, such as `judge.model is llm-blender/PairRM`."""
    if named.engine not in (None, info.engine):
        return f"judge.engine is {named.engine}"
    if named.model is not None and not _same_model(named.model, info):
        return f"judge.model is {named.model}"
    if named.revision is not None and not info.revision.startswith(named.revision):
        return f"judge.revision is {named.revision}"
    return None


def _require(config: RunConfig, url: str, info: JudgeInfo) -> None:
    other = mismatch(config.judge, info)
    if other is not None:
        raise InvalidInput(
            f"{other}, but the judge at {url} is {info.ref}; start the one that the run names, or name the one that answers."
        )
    most = info.limits.max_candidates
    if config.sampling.k > most:
        raise InvalidInput(
            f"sampling.k is {config.sampling.k}, but the judge at {url} takes {most} candidates at most; lower it, or raise "
            "SPARRING_JUDGE_MAX_CANDIDATES."
        )


def _same_model(named: str, info: JudgeInfo) -> bool:
    """By the name of the judge, as its service was told, or the same folder."""
    return named in (info.name, info.model) or (Path(named).is_dir() and Path(named).resolve() == Path(info.model).resolve())


def _pin(info: JudgeInfo) -> PinnedJudge:
    return PinnedJudge(ref=info.ref, model=info.model, pinned=info.pinned)
