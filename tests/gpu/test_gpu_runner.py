"""Whatever one point does, the others get their rows."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from gpu_points.points import POINTS
from gpu_points.predictions import PREDICTIONS
from gpu_points.processes import environment
from gpu_points.records import Notebook, Point, Prediction, Setting
from gpu_points.runner import Run, run
from gpu_points.table import SHOWN, table
from torch.optim.optimizer import register_optimizer_step_pre_hook


def play(names: list[str], report: Path, *, minutes: float = 10.0, keep: bool = False) -> dict[str, dict[str, Any]]:
    points = [Point(name, f"fake_points:{name}", name, limit=2 if name == "hangs" else 120) for name in names]
    run(points, Run("cpu", True, minutes, report), keep=keep)
    return {row["point"]: row for row in json.loads(report.read_text())["rows"]}


@pytest.fixture(autouse=True)
def fakes_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


def has_ended(process: int) -> bool:
    stat = Path(f"/proc/{process}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] in "ZX"


def test_a_point_that_dies_hangs_fails_or_lacks_something_takes_only_itself(tmp_path: Path) -> None:
    rows = play(["dies", "hangs", "fails", "lacks", "needs_a_package", "fine"], tmp_path / "rows.json")

    assert [(row["status"], row["note"]) for row in rows.values()] == [
        ("failed", "It ended with signal SIGKILL: it said nothing"),
        ("failed", "It was ended after its 2 seconds."),
        ("failed", "It ended with exit code 1: RuntimeError: the card is on fire"),
        ("cannot run", "It needs a card with two heads."),
        ("cannot run", "It needs the Python package no_such_package, which is not installed here."),
        ("ran", None),
    ]
    assert rows["fails"]["findings"]["before"] == 1
    assert "Traceback (most recent call last):" in rows["fails"]["findings"]["printed"]
    assert rows["fine"]["findings"] == {"device": "cpu", "half": 0.5, "endless": "inf"}
    assert has_ended(rows["dies"]["findings"]["left_behind"])


def test_without_time_nothing_is_begun_and_the_rows_of_an_earlier_run_stay_if_wanted(tmp_path: Path) -> None:
    report = tmp_path / "results" / "rows.json"
    assert play(["fine"], report)["fine"]["status"] == "ran"

    rows = play(["hangs"], report, minutes=0.0, keep=True)
    assert rows["fine"]["status"] == "ran"
    assert (rows["hangs"]["status"], rows["hangs"]["note"]) == ("not run", "not run: no time left")
    assert list(play(["hangs"], report, minutes=0.0)) == ["hangs"]


def test_a_point_sees_one_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert environment("cuda")["CUDA_VISIBLE_DEVICES"] == "0"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    assert environment("cuda")["CUDA_VISIBLE_DEVICES"] == "2"
    assert environment("cpu")["CUDA_VISIBLE_DEVICES"] == ""


def test_a_prediction_is_judged_only_at_the_size_that_it_is_for() -> None:
    prediction = Prediction("memory", "7B/peak", "at most 80", "a note", high=80)

    def held(findings: dict[str, Any], *, applies: bool = True) -> Any:
        return prediction.judged(findings, applies=applies)["held"]

    assert held({"7B": {"peak": 79.5}}) is True
    assert held({"7B": {"peak": 81}}) is False
    assert held({"7B": {"peak": 79.5}}, applies=False) is None
    assert held({"7B": {}}) is None
    assert held({"7B": "not run"}) is None


def test_predictions_and_table_speak_of_points_that_there_are() -> None:
    names = {point.name for point in POINTS}
    assert {one.point for one in PREDICTIONS} < names
    assert set(SHOWN) == names


def test_the_table_shows_what_was_found_and_which_predictions_held() -> None:
    says = {"says": "a fifth", "source": "a note", "path": "nearest/share_of_margin", "found": 0.0455, "held": True}
    row = {"point": "rounding", "status": "ran", "seconds": 12.3, "note": None, "predictions": [says]}
    row["findings"] = {"nearest": {"share_of_margin": 0.0455, "share_changed": 0.03}, "weights": 12}

    lines = table({"rows": [row]}).splitlines()

    assert lines[2] == "| rounding | ran | 12 | nearest share changed 0.03; nearest share of margin 0.0455 |"
    assert lines[-1] == "| rounding | a fifth | 0.0455 | held | a note |"


def test_memory_that_does_not_suffice_is_a_finding_that_names_the_stage(tmp_path: Path) -> None:
    from gpu_points.trainer_stages import one_case

    def no_more(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 27.00 GiB. GPU 0 has a total capacity of 79.6 GiB")

    notebook = Notebook(tmp_path / "findings.json")
    hook = register_optimizer_step_pre_hook(no_more)
    try:
        one_case(Setting("cpu", tiny=True, folder=str(tmp_path), seconds=60), notebook, "tiny", "rmsprop", None)
    finally:
        hook.remove()

    assert notebook.findings["out_of_memory"] == "after backward 1"
    assert notebook.findings["steps_done"] == 0
    assert list(notebook.findings["stages"]) == ["weights", "binding", "scoring", "backward 1"]
    assert notebook.findings["said"] == "CUDA out of memory. Tried to allocate 27.00 GiB."
