"""Several judges at once: the real engines on tiny models, and a chat endpoint that fails."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scripted_endpoint import completion, endpoint, refusal
from small_lm import write_llama_judge, write_llama_reward

from sparring_judge.engines.by_name import load_engine
from sparring_judge.engines.engine import judge_tasks
from sparring_judge.engines.ensemble import read_members
from sparring_judge.settings import JudgeSettings
from sparring_judge.tasks.task import Task, games
from sparring_judge.tasks.units import Judgement
from sparring_shared.errors import InvalidInput, SparringError, Unavailable
from sparring_shared.preference import Floats

TASKS = [Task("what is zinc?", ("a metal.", "gold", "yes"), games(3)), Task("the answer?", ("yes " * 9, "no"), games(2))]


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llama_judge(tmp_path_factory.mktemp("ensemble") / "llama")


@pytest.fixture(scope="module")
def reward(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llama_reward(tmp_path_factory.mktemp("ensemble") / "reward")


def ensemble(*members: dict[str, Any], **changes: Any) -> JudgeSettings:
    return JudgeSettings(engine="ensemble", device="cpu", members=members, **changes)


def judged(settings: JudgeSettings) -> list[Judgement | SparringError]:
    engine = load_engine(settings)
    return judge_tasks(engine.reader, engine.load(), TASKS)


def matrices(settings: JudgeSettings) -> list[Floats]:
    found = judged(settings)
    return [one.logits for one in found if isinstance(one, Judgement)]


def test_logits_are_the_weighted_mean_of_the_members(small_judge: Path, llama: Path, reward: Path) -> None:
    members: list[dict[str, Any]] = [
        {"engine": "pairrm", "model": str(small_judge), "weight": 2},
        {"engine": "pair-lm", "model": str(llama)},
        {"engine": "reward", "model": str(reward), "weight": 5},
    ]
    alone = [matrices(JudgeSettings(engine=one["engine"], model=one["model"], device="cpu")) for one in members]
    for at, found in enumerate(matrices(ensemble(*members))):
        wanted = (2 * alone[0][at] + alone[1][at] + 5 * alone[2][at]) / 8
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4)
    assert np.abs(alone[0][0] - alone[2][0]).max() > 0.1  # they differ


def test_what_any_member_cuts_is_cut(small_judge: Path) -> None:
    short = {"engine": "fake", "source_max_tokens": 4, "candidate_max_tokens": 5}
    engine = load_engine(ensemble({"engine": "pairrm", "model": str(small_judge)}, short))
    reading = engine.reader.plan(TASKS[1]).reading
    assert reading.truncated == (True, False)  # nine words for the fake
    assert not reading.prompt_truncated
    assert reading.prompt_tokens == 3  # two words, three tokens of pairrm
    assert (engine.reader.limits.source_max_tokens, engine.reader.limits.candidate_max_tokens) == (4, 5)


def test_a_member_that_fails_is_the_error_of_the_item() -> None:
    def second_fails(_: int, body: dict[str, Any]) -> Any:
        return refusal(503, "down") if "the answer?" in body["messages"][0]["content"] else completion("A")

    with endpoint(second_fails) as server:
        member = {"engine": "openai", "model": "m", "url": server.url, "retries": 0}
        good, bad = judged(ensemble({"engine": "fake"}, member))
    assert isinstance(good, Judgement)
    assert isinstance(bad, Unavailable)


def test_members_of_one_model_keep_their_own_values(llama: Path) -> None:
    whole = {"engine": "pair-lm", "model": str(llama)}
    blind = whole | {"source_max_tokens": 60, "candidate_max_tokens": 4}
    two = load_engine(ensemble(whole, blind))
    keys = [unit.key for unit in two.reader.plan(TASKS[0]).units]
    assert len(set(keys)) == len(keys) == 12
    assert two.reader.ref.name == "llama + llama"
    assert two.reader.ref.revision != load_engine(ensemble(whole, blind | {"weight": 2})).reader.ref.revision


def test_it_can_be_loaded_in_another_process(small_judge: Path) -> None:
    engine = load_engine(ensemble({"engine": "fake"}, {"engine": "pairrm", "model": str(small_judge)}))
    computer = pickle.loads(pickle.dumps(engine.load))()
    assert computer.description.device == "cpu + cpu"
    (first, _) = judge_tasks(engine.reader, computer, TASKS)
    assert isinstance(first, Judgement)


def test_members_have_the_settings_of_the_ensemble_unless_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARRING_JUDGE_ENGINE", "ensemble")
    monkeypatch.setenv("SPARRING_JUDGE_REVISION", "v1")
    monkeypatch.setenv("SPARRING_JUDGE_URL", "http://here/v1")
    monkeypatch.setenv("SPARRING_JUDGE_RETRIES", "3")
    described = [{"engine": "openai", "model": "m", "retries": 1}, {"engine": "fake", "weight": 0.5}]
    monkeypatch.setenv("SPARRING_JUDGE_MEMBERS", json.dumps(described))
    first, second = read_members(JudgeSettings.read())
    assert (first.settings.url, first.settings.retries, first.settings.revision) == ("http://here/v1", 1, None)
    assert (second.settings.engine, second.settings.retries, second.weight) == ("fake", 3, 0.5)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([{"engine": "fake"}], "SPARRING_JUDGE_MEMBERS names 1; an ensemble needs two judges at least"),
        ([{"engine": "fake"}, {"model": "x"}], "SPARRING_JUDGE_MEMBERS.1.engine: name an engine other than ensemble"),
        ([{"engine": "fake"}, {"engine": "ensemble"}], "SPARRING_JUDGE_MEMBERS.1.engine: name an engine other than"),
        ([{"engine": "fake"}, {"engine": "pairm"}], "SPARRING_JUDGE_MEMBERS.1.engine: Input should be 'pairrm', 'llm-bl"),
        ([{"engine": "fake"}, {"engine": "reward"}], "SPARRING_JUDGE_MEMBERS.1.model: is missing"),
        ([{"engine": "fake", "host": "x"}, {"engine": "fake"}], "SPARRING_JUDGE_MEMBERS.0.host: no such key"),
        (
            [{"engine": "fake", "weight": 0}, {"engine": "fake"}],
            "SPARRING_JUDGE_MEMBERS.0.weight: Input should be greater than 0",
        ),
        ([{"engine": "fake", "weight": "big"}, {"engine": "fake"}], "SPARRING_JUDGE_MEMBERS.0.weight: Input should be a valid"),
    ],
)
def test_wrong_members_are_refused(members: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(InvalidInput, match=f"^{message}"):
        load_engine(ensemble(*members))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '[{"engine": "fake"}',
            r'SPARRING_JUDGE_MEMBERS is not JSON; give a list like \[\{"engine": "pairrm", "model": "..."\}\]',
        ),
        ('{"engine": "fake"}', "SPARRING_JUDGE_MEMBERS: Input should be a valid tuple"),
        ("[1]", "SPARRING_JUDGE_MEMBERS: Input should be a valid dictionary"),
    ],
)
def test_members_that_are_no_list_are_refused(monkeypatch: pytest.MonkeyPatch, text: str, message: str) -> None:
    monkeypatch.setenv("SPARRING_JUDGE_ENGINE", "ensemble")
    monkeypatch.setenv("SPARRING_JUDGE_MEMBERS", text)
    with pytest.raises(InvalidInput, match=f"^{message}"):
        JudgeSettings.read()
