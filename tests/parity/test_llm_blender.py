"""The engines llm-blender and pairrm give the same numbers; runs where the real package is installed (`make judge-parity`)."""

import json
import logging
import pickle
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blender_judge import write_blender_judge
from golden_checkpoint import DEMO_JUDGE, ROOT
from skips import Skip, because, skip

from sparring_judge.engines.by_name import load_engine
from sparring_judge.engines.engine import judge_tasks
from sparring_judge.settings import JudgeSettings
from sparring_judge.tasks.task import Task, games
from sparring_judge.tasks.units import Judgement
from sparring_shared.errors import CheckpointMismatch, InvalidInput, SparringError
from sparring_shared.wire.judge import EngineName

pytestmark = pytest.mark.skipif(find_spec("llm_blender") is None, reason=because(Skip.OTHER_STAGE, "make judge-parity"))

TOLERANCE = 1e-4
BESIDE = ROOT.parent / "shared" / "golden" / "pairrm"
GROUPS = ("basic_k5", "k2", "edge", "long_cand", "long_source", "batch_effect")


@pytest.fixture(scope="session")
def random_judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_blender_judge(tmp_path_factory.mktemp("parity"))


def beside() -> Path:
    if not BESIDE.is_dir():
        skip(Skip.DATA_BESIDE, f"{BESIDE} is absent")
    return BESIDE


def judged(engine: EngineName, model: Path, tasks: Sequence[Task], **limits: int) -> list[Judgement | SparringError]:
    settings = JudgeSettings(engine=engine, model=str(model), device="cpu", **limits)  # pyright: ignore[reportArgumentType]
    loaded = load_engine(settings)
    return judge_tasks(loaded.reader, loaded.load(), tasks)


def judgements(engine: EngineName, model: Path, tasks: Sequence[Task], **limits: int) -> list[Judgement]:
    found = [one for one in judged(engine, model, tasks, **limits) if isinstance(one, Judgement)]
    assert len(found) == len(tasks)
    return found


def same(model: Path, tasks: Sequence[Task], **limits: int) -> None:
    """Both engines say the same of the tasks."""
    theirs, ours = (judgements(engine, model, tasks, **limits) for engine in ("llm-blender", "pairrm"))
    for their, our in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(their.logits, our.logits, rtol=0, atol=TOLERANCE)
        assert their.reading == our.reading
        assert np.abs(our.logits).max() > 0.01


TASKS = [
    Task("what is zinc?", ("a metal.", "gold", "yes is the answer", ""), games(4)),
    Task("", ("x", "no [SEP] y"), games(2)),
    Task("\ufb01ne \uff46ull \u00bd \u65e5", ("the \u00bd metal", "a  b\n\tc "), games(2)),
    Task("is gold a metal? " * 300, ("yes " * 900, "no"), games(2)),
    Task("zinc", ("the answer is " * 400, "what? " * 700, "no"), games(3)),
]


def test_random_weights(random_judge: Path) -> None:
    same(random_judge, TASKS)


def test_own_limits(random_judge: Path) -> None:
    same(random_judge, TASKS, source_max_tokens=20, candidate_max_tokens=10)


def test_the_package_says_what_the_golden_file_holds(tmp_path: Path) -> None:
    # Imported here, since it imports the package.
    from write_golden import golden

    holds = json.loads((ROOT / "tests" / "golden" / "pairrm.json").read_text(encoding="utf-8"))
    # Which versions said it does not matter: with a GPU PyTorch is another build.
    assert differences(golden(tmp_path) | {"env": None}, holds | {"env": None}) == []


def differences(found: Any, wanted: Any, at: str = "") -> list[str]:
    """Where two JSON values differ; numbers may by the tolerance."""
    if isinstance(found, dict) and isinstance(wanted, dict) and found.keys() == wanted.keys():
        return [said for key in found for said in differences(found[key], wanted[key], f"{at}/{key}")]
    if isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        return [said for n, pair in enumerate(zip(found, wanted, strict=True)) for said in differences(*pair, f"{at}/{n}")]
    same = abs(found - wanted) <= TOLERANCE if isinstance(found, float) and isinstance(wanted, float) else found == wanted
    return [] if same else [f"{at}: {found} is not {wanted}"]


def test_the_checkpoint_beside_the_repository() -> None:
    said = json.loads((beside() / "golden.json").read_text(encoding="utf-8"))["groups"]
    groups = [group for group in said if group["name"] in GROUPS]
    pairs = [pair for group in groups for pair in zip(group["inputs"], group["candidates"], strict=True)]
    tasks = [Task(source, tuple(candidates), games(len(candidates))) for source, candidates in pairs]
    judge = (BESIDE / "checkpoint" / "pairrm").resolve()
    same(judge, tasks)
    wanted = [matrix for group in groups for matrix in group["logit_matrix_bs1"]]
    for found, matrix in zip(judgements("llm-blender", judge, tasks), wanted, strict=True):
        np.testing.assert_allclose(found.logits, np.asarray(matrix), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("text", ["x <|candidate1|> y", "<|source|>", "\uff1c|candidate|\uff1e"])
def test_a_tag_in_a_text_is_the_error_of_its_item(random_judge: Path, text: str) -> None:
    bad, good = judged("llm-blender", random_judge, [Task("zinc", (text, "no"), games(2)), TASKS[0]])
    assert isinstance(bad, InvalidInput)
    assert bad.message.endswith("on which llm-blender fails; take it out or use the engine pairrm.")
    assert isinstance(good, Judgement)


def test_equal_answers_are_computed_once(random_judge: Path) -> None:
    engine = load_engine(JudgeSettings(engine="llm-blender", model=str(random_judge)))
    assert len(engine.reader.plan(Task("zinc", ("x", "y", "x"), games(3))).units) == 3


def test_it_can_be_loaded_in_another_process(random_judge: Path) -> None:
    engine = load_engine(JudgeSettings(engine="llm-blender", model=str(random_judge), device="cpu"))
    (found,) = judge_tasks(engine.reader, pickle.loads(pickle.dumps(engine.load))(), TASKS[:1])
    assert isinstance(found, Judgement)


def test_the_package_finds_all_weights(random_judge: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    judgements("llm-blender", random_judge, TASKS[:1])
    assert "keys" not in caplog.text


def test_the_layout_that_the_package_cannot_read_is_refused() -> None:
    with pytest.raises(CheckpointMismatch, match="in the layout of PairRM-hf; llm-blender reads that of llm-blender/PairRM"):
        load_engine(JudgeSettings(engine="llm-blender", model=str(DEMO_JUDGE)))
