"""What is said of a run that is being played."""

import io
from pathlib import Path

from reports import BASE, FIRST
from rich.console import Console

from sparring_controller.terminal import watching
from sparring_shared.run_config import read_run_config
from sparring_shared.wire.controller import RoundStatus, RunState, RunStatus, StageStatus

CONFIG = read_run_config(Path(__file__).parents[3] / "configs" / "demo-sppo.toml")


def stage(name: str, done: int, shards: int, error: str | None = None) -> StageStatus:
    return StageStatus.model_validate(
        {"stage": name, "shards": shards, "done": done, "running": 0, "failed": 0, "seconds": 2.5 * done}
        | {"progress": done / shards, "error": error}
    )


def run(state: RunState, *stages: StageStatus) -> RunStatus:
    played = RoundStatus(run_id="demo-1", round=1, state="running", stages=stages, eta_seconds=40.0)
    made = {"run_id": "demo-1", "name": "demo", "status": state, "requested_rounds": 1, "completed_rounds": 0}
    return RunStatus.model_validate({**made, "created_at": "now", "config": CONFIG, "rounds": (played,)})


STATES = [
    run("running", stage("generate", 0, 2)),
    run("running", stage("generate", 1, 2), stage("judge", 0, 2, "The judge does not answer.")),
    run("running", stage("generate", 2, 2), stage("judge", 1, 2)),
    run("done", stage("generate", 2, 2), stage("judge", 2, 2)),
]


def shown(width: int, terminal: bool) -> tuple[RunStatus, str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=terminal, color_system=None)
    show = watching._with_bars if terminal else watching._with_lines
    last = show(iter(STATES), console)
    assert isinstance(console.file, io.StringIO)
    return last, console.file.getvalue()


def test_a_round_that_ends_is_shown_once() -> None:
    console = Console(file=io.StringIO(), width=200)
    before, after = ({"round": number, "run_id": "demo-1", "state": "done", "stages": ()} for number in (0, 1))
    states = [
        STATES[0].model_copy(update={"rounds": (RoundStatus.model_validate(before | {"report": BASE.model_dump()}),)}),
        STATES[0].model_copy(
            update={
                "rounds": (
                    RoundStatus.model_validate(before | {"report": BASE.model_dump()}),
                    RoundStatus.model_validate(after | {"report": FIRST.model_dump()}),
                )
            }
        ),
    ]
    assert list(watching._round_by_round(iter([*states, states[-1]]), console)) == [*states, states[-1]]
    assert isinstance(console.file, io.StringIO)
    titles = [
        line.strip() for line in console.file.getvalue().splitlines() if "round" in line and "│" not in line and "┃" not in line
    ]
    assert titles == ["demo-1, round 1"]


def test_plain_lines_say_each_thing_once() -> None:
    last, text = shown(40, terminal=False)
    assert last == STATES[-1]
    assert text.splitlines() == [
        "round 1 judge: The judge does not answer.",
        "round 1 generate: done in 5.0 s",
        "round 1 judge: done in 5.0 s",
    ]


def test_bars_end_full() -> None:
    last, text = shown(120, terminal=True)
    assert last == STATES[-1]
    generate, judge = [line for line in text.splitlines() if "round 1" in line][-2:]
    assert "round 1 generate" in generate and "2/2" in generate
    assert "round 1 judge" in judge and "2/2" in judge
