"""Which judge a command starts for a run."""

from pathlib import Path

import pytest

from sparring_controller.terminal.run_folder import judge_of_run, places_of, with_judge
from sparring_shared.artifacts import write_json
from sparring_shared.errors import InvalidInput, NotFound
from sparring_shared.paths import RunPaths
from sparring_shared.records import JudgeRef
from sparring_shared.run_config import JudgeConfig, RunConfig
from sparring_shared.wire.controller import PinnedJudge, RunJudges

COMMIT = "5b88" * 10


def run(folder: Path, named: str = "", pinned: JudgeRef | None = None, model: str = "org/judge") -> RunPaths:
    """A run's folder with such a `[judge]`, pinned to such a judge; without one as an older version left it."""
    places = RunPaths(folder, "small-1")
    places.root.mkdir()
    places.config.write_text(f'name = "a"\n[policy]\nmodel = "m"\n[prompts]\nsource = "p.jsonl"\n[judge]\n{named}\n')
    if pinned is not None:
        judges = RunJudges(pinned={"default": PinnedJudge(ref=pinned, model=model, pinned=True)})
        write_json(places.judges, judges.model_dump(mode="json"))
    return places


def config(**judge: str) -> RunConfig:
    return RunConfig.model_validate({"name": "a", "policy": {"model": "m"}, "prompts": {"source": "p.jsonl"}, "judge": judge})


def test_a_run_is_resumed_with_the_judge_that_it_is_pinned_to(tmp_path: Path) -> None:
    pinned = JudgeRef(name="org/judge", revision=f"{COMMIT}+0123456789ab", engine="pair-lm")
    judge = judge_of_run(run(tmp_path, 'estimator = "official"', pinned), None, accept=False)
    assert judge == JudgeConfig(engine="pair-lm", model="org/judge", revision=COMMIT, estimator="official")


def test_a_folder_has_no_revision_to_ask_for(tmp_path: Path) -> None:
    pinned = JudgeRef(name="demo-judge", revision="sha256:00+0123456789ab", engine="pairrm")
    judge = judge_of_run(run(tmp_path, "", pinned, "models/demo-judge"), "models/demo-judge", accept=False)
    assert judge == JudgeConfig(engine="pairrm", model="models/demo-judge")


def test_an_ensemble_has_no_model(tmp_path: Path) -> None:
    pinned = JudgeRef(name="a + b", revision="sha256:00", engine="ensemble")
    assert judge_of_run(run(tmp_path, "", pinned, ""), None, accept=False) == JudgeConfig(engine="ensemble")


def test_a_judge_without_a_model_may_be_named_by_its_name(tmp_path: Path) -> None:
    places = run(tmp_path, 'model = "fake"\nrevision = "crc32"', JudgeRef(name="fake", revision="crc32", engine="fake"), "")
    assert judge_of_run(places, None, accept=False) == JudgeConfig(engine="fake", model="fake", revision="crc32")


def test_another_judge_is_started_only_to_be_accepted(tmp_path: Path) -> None:
    places = run(tmp_path, "", JudgeRef(name="org/judge", revision="1", engine="pairrm"))
    with pytest.raises(InvalidInput) as error:
        judge_of_run(places, "org/other", accept=False)
    assert error.value.message == (
        "--judge is org/other, but the run is pinned to org/judge (pairrm, 1); leave it out, or accept the other with "
        "--accept-judge."
    )
    assert judge_of_run(places, "org/other", accept=True) == JudgeConfig(model="org/other")
    assert judge_of_run(places, None, accept=True) == JudgeConfig(engine="pairrm", model="org/judge")


def test_an_older_run_takes_what_is_named(tmp_path: Path) -> None:
    places = run(tmp_path)
    assert judge_of_run(places, None, accept=False) == JudgeConfig()
    assert judge_of_run(places, "org/judge", accept=False) == JudgeConfig(model="org/judge")


def test_one_judge_is_named_once() -> None:
    place = Path("run.toml")
    assert with_judge(config(), "org/judge", place).judge.model == "org/judge"
    assert with_judge(config(model="org/judge"), "org/judge", place) == config(model="org/judge")
    assert with_judge(config(model="org/judge"), None, place) == config(model="org/judge")
    with pytest.raises(InvalidInput, match=r"--judge is org/b, but run\.toml names org/a; leave one of them out"):
        with_judge(config(model="org/a"), "org/b", place)


def test_a_run_lies_in_the_runs_folder(tmp_path: Path) -> None:
    assert places_of(tmp_path, run(tmp_path).root.name).root == tmp_path / "small-1"
    for missing in ("small-2", "../small-1"):
        with pytest.raises(NotFound, match="There is no run"):
            places_of(tmp_path, missing)
