"""The page of the nightly run."""

import datetime
import importlib
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "nightly.py"


@pytest.fixture
def nightly(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(SCRIPT.parent)
    return importlib.import_module("nightly")


def test_a_stage_passes_or_ends_with_its_last_words(nightly: ModuleType) -> None:
    good = nightly.play(nightly.Stage("good", "echo fine"))
    bad = nightly.play(nightly.Stage("bad", f"""sh -c 'echo one; echo "no {nightly.ROOT}/data"; echo; exit 3'"""))
    assert (good.result, bad.result) == ("passed", "exit 3: no data")


def test_the_page_says_when_where_and_how_long(nightly: ModuleType) -> None:
    outcomes = [nightly.Outcome(nightly.Stage("games", "sparring games"), 27.4, "passed")]
    assert nightly.report(datetime.date(2026, 11, 21), "a machine", outcomes) == (
        "# Nightly\n\n2026-11-21 on a machine; written by `make nightly`.\n\n"
        "| stage | command | seconds | result |\n|---|---|---:|---|\n| games | `sparring games` | 27 | passed |\n"
    )


def test_the_machine_is_described(nightly: ModuleType) -> None:
    assert " cores, " in nightly.machine() and " GiB, Python 3." in nightly.machine() and "PyTorch 2." in nightly.machine()


def test_a_night_that_is_cut_short_keeps_what_it_has(
    nightly: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    page = tmp_path / "nightly.md"
    stages = (nightly.Stage("first", "echo done"), nightly.Stage("second", "no-such-program"))
    monkeypatch.setattr(nightly, "RESULTS", page)
    monkeypatch.setattr(nightly, "STAGES", stages)
    with pytest.raises(FileNotFoundError):
        nightly.main()
    assert page.read_text().splitlines()[-1] == "| first | `echo done` | 0 | passed |"
