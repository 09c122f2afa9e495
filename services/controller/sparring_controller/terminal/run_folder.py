"""What a run's folder tells a command that is to play it: which judge to start, the one that is named, pinned or `--judge`."""

import json
import re
from pathlib import Path

from sparring_shared.errors import InvalidInput, NotFound
from sparring_shared.paths import RunPaths
from sparring_shared.run_config import JudgeConfig, RunConfig, read_run_config
from sparring_shared.wire.controller import RunJudges

_COMMIT = re.compile(r"[0-9a-f]{40}")


def places_of(runs_dir: Path, run_id: str) -> RunPaths:
    """The folder of a run. Raises NotFound."""
    places = RunPaths(runs_dir, run_id)
    if places.root.resolve().parent != runs_dir.resolve() or not places.config.is_file():
        raise NotFound(f"There is no run {run_id} in {runs_dir}; `sparring status` lists those there are.")
    return places


def with_judge(config: RunConfig, option: str | None, place: Path) -> RunConfig:
    """The config with the judge of `--judge` where it names none. Raises InvalidInput when they name two."""
    named = config.judge
    if option is None or option == named.model:
        return config
    if named.model is not None or named.engine is not None:
        raise InvalidInput(f"--judge is {option}, but {place} names {named.model or named.engine}; leave one of them out.")
    return config.model_copy(update={"judge": named.model_copy(update={"model": option})})


def judge_of_run(places: RunPaths, option: str | None, *, accept: bool) -> JudgeConfig:
    """The judge that a run is pinned to; `--judge` in its place where it is to be accepted, or where the run has none.

    Raises InvalidInput when `--judge` names another one and is not to be accepted.
    """
    named, pinned = read_run_config(places.config).judge, _pinned(places)
    if option is not None and accept:
        return named.model_copy(update={"engine": None, "model": option, "revision": None})
    judge = pinned.pinned.get(named.service) if pinned else None
    if judge is None:
        return with_judge(read_run_config(places.config), option, places.config).judge
    if option not in (None, judge.model):
        raise InvalidInput(
            f"--judge is {option}, but the run is pinned to {judge.ref}; leave it out, or accept the other with --accept-judge."
        )
    weights = judge.ref.revision.partition("+")[0]
    revision = weights if _COMMIT.fullmatch(weights) else named.revision
    started = {"engine": judge.ref.engine, "model": judge.model or named.model, "revision": revision}
    return JudgeConfig.model_validate(named.model_dump() | started)


def _pinned(places: RunPaths) -> RunJudges | None:
    try:
        found = json.loads(places.judges.read_bytes())
    except FileNotFoundError:
        return None
    return None if found is None else RunJudges.model_validate(found)
