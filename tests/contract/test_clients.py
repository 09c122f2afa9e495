"""The controller's clients against the services they call, each in its own process. The generator's is held by tests/e2e."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import ROOT, service
from pydantic import SecretStr

from sparring_controller.rounds.clients import JudgeClient, TrainerClient
from sparring_shared.errors import DeadlinePassed, InvalidInput, Unauthorized, Unavailable
from sparring_shared.run_config import SppoConfig, TrainingConfig
from sparring_shared.wire.judge import ItemError, RankItem, RankResult
from sparring_shared.wire.trainer import CheckpointRef, JobRequest

PROMPT = "Which of these is a fruit: plum, saw?"


@pytest.fixture(scope="module")
def judge() -> Iterator[JudgeClient]:
    with service("judge", SPARRING_JUDGE_MODEL="models/demo-judge") as url:
        client = JudgeClient(url)
        yield client
        client.close()


def test_rank_with_an_error_among_the_items(judge: JudgeClient) -> None:
    good = RankItem(prompt=PROMPT, candidates=("plum is a fruit.", "saw is a fruit.", "saw is a fruit."))
    answer = judge.rank([good, RankItem(prompt=PROMPT, candidates=("a", "b"), pairs=((0, 7),)), good], "pairwise")
    first, second, third = answer.items
    assert isinstance(first, RankResult) and isinstance(second, ItemError) and isinstance(third, RankResult)
    assert first.win_rates is not None and first.ranks is not None
    assert third.win_rates == pytest.approx(first.win_rates, abs=1e-6)
    assert first.probs[0][1] == pytest.approx(1 - (first.probs[1][0] or 0))
    assert first.logits[0][1] == pytest.approx(first.logits[0][2])
    assert sum(first.win_rates) == pytest.approx(1.5)
    assert first.ranks[0] == 1
    assert answer.judge.revision.startswith("sha256:")


def test_a_judge_that_wants_a_token() -> None:
    items = [RankItem(prompt=PROMPT, candidates=("plum is a fruit.", "saw is a fruit."))]
    with service("judge", SPARRING_JUDGE_ENGINE="fake", SPARRING_JUDGE_TOKEN="s3cret") as url:
        with pytest.raises(Unauthorized, match="The bearer token is missing or wrong"):
            JudgeClient(url).rank(items, "pairwise")
        assert len(JudgeClient(url, SecretStr("s3cret")).rank(items, "pairwise").items) == 1


def test_the_judge_is_told_how_long_it_may_take() -> None:
    items = [RankItem(prompt=PROMPT, candidates=("plum is a fruit.", "saw is a fruit."))]
    with service("judge", SPARRING_JUDGE_ENGINE="fake") as url, pytest.raises(DeadlinePassed, match="The deadline passed"):
        JudgeClient(url, seconds=1e-9).rank(items, "pairwise")


def test_trainer_jobs_that_cannot_be(tmp_path: Path) -> None:
    base = CheckpointRef(version=0, digest="sha256:0", path=str(ROOT / "models" / "demo-policy"))
    request = JobRequest(
        policy=base,
        pairs=(str(tmp_path / "absent.parquet"),),
        output=str(tmp_path / "checkpoints" / "1"),
        version=1,
        algorithm=SppoConfig(),
        training=TrainingConfig(),
    )
    folders = {"SPARRING_RUNS_DIR": str(tmp_path), "SPARRING_TRAINER_DIR": str(tmp_path / "jobs")}
    with service("trainer", **folders) as url:
        client = TrainerClient(url)
        assert client.job("unknown") is None
        client.cancel("unknown")
        with pytest.raises(InvalidInput, match=r"absent\.parquet"):
            client.start("one", request)
        with pytest.raises(InvalidInput, match="lies outside the folders"):
            client.start("one", request.model_copy(update={"output": "/tmp/elsewhere"}))
        assert client.job("one") is None
    with pytest.raises(Unavailable, match=f"The trainer at {url} does not answer"):
        client.job("one")
