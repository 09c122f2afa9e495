"""Files are whole or absent; records come back as they went."""

from pathlib import Path

import datasets
import pyarrow.parquet as pq
import pytest

from sparring_shared.artifacts import (
    damaged_files,
    publish_checkpoint,
    read_manifest,
    read_records,
    replacing,
    verified_digest,
    weights_digest,
    write_records,
)
from sparring_shared.errors import InvalidInput
from sparring_shared.paths import RunPaths, within
from sparring_shared.records import (
    Answer,
    Candidate,
    CandidateSet,
    JudgeRef,
    Message,
    Pair,
    PolicyRef,
    PreferenceMatrix,
    Prompt,
)

POLICY = PolicyRef(version=1, digest="sha256:ab")
PROMPT = Prompt(prompt_id="p", messages=(Message(role="system", content="Be brief."), Message(role="user", content="Zinc? é")))
ANSWER = Candidate(text="A metal.", token_ids=(3, 4, 2), logprob=-1.5, finish_reason="stop")
RECORDS = [
    PROMPT,
    CandidateSet(prompt=PROMPT, prompt_token_ids=(1, 6), prompt_text="Zinc", candidates=(ANSWER, ANSWER), policy=POLICY),
    PreferenceMatrix(
        prompt_id="p",
        logits=((0.0, 1.0), (-1.0, 0.0)),
        probs=((0.5, 0.7), (0.3, 0.5)),
        truncated=(False, True),
        judge=JudgeRef(name="j", revision="r"),
    ),
    Pair(
        prompt_id="p",
        prompt=PROMPT.messages,
        chosen=(Message(role="assistant", content="A metal."),),
        rejected=(Message(role="assistant", content="No."),),
        prompt_token_ids=(1, 6),
        chosen_token_ids=(3, 4, 2),
        rejected_token_ids=(5, 2),
        chosen_logprob=-1.5,
        rejected_logprob=-2.5,
        chosen_win_rate=0.6,
        rejected_win_rate=0.4,
        chosen_beats_rejected=0.7,
        chosen_index=0,
        rejected_index=1,
        policy=POLICY,
    ),
    Answer(prompt=PROMPT, prompt_text=None, candidate=ANSWER, policy=POLICY),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_records_come_back_as_they_went(tmp_path: Path, record: Prompt) -> None:
    path = tmp_path / "new" / "00000.parquet"
    assert write_records(path, type(record), [record, record]) == 2
    assert read_records(path, type(record)) == [record, record]
    assert [entry.name for entry in path.parent.iterdir()] == ["00000.parquet"]


def test_pairs_load_with_datasets_in_conversational_columns(tmp_path: Path) -> None:
    write_records(tmp_path / "0.parquet", Pair, [RECORDS[3]])  # type: ignore[list-item]
    row = datasets.load_dataset("parquet", data_files=str(tmp_path / "0.parquet"), cache_dir=str(tmp_path / "c"))["train"][0]
    assert row["prompt"][1] == {"role": "user", "content": "Zinc? é"}
    assert row["chosen"] == [{"role": "assistant", "content": "A metal."}]


def test_what_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_text("no")
    with pytest.raises(InvalidInput, match="not a Parquet file of Pair rows"):
        read_records(tmp_path / "x.parquet", Pair)
    write_records(tmp_path / "y.parquet", Prompt, [PROMPT])
    with pytest.raises(InvalidInput, match="lacks the columns prompt, chosen"):
        read_records(tmp_path / "y.parquet", Pair)


def test_a_column_that_an_older_version_did_not_write_takes_its_default_or_is_named(tmp_path: Path) -> None:
    for record, column in ((RECORDS[4], "prompt_text"), (RECORDS[3], "prompt_token_ids")):
        path = tmp_path / "old.parquet"
        write_records(path, type(record), [record])
        pq.write_table(pq.read_table(path).drop_columns([column]), path)
        if column == "prompt_text":
            assert read_records(path, type(record)) == [record]
        else:
            with pytest.raises(InvalidInput, match="lacks the columns prompt_token_ids of Pair rows; if an older version"):
                read_records(path, type(record))


def checkpoint(folder: Path, weights: bytes) -> Path:
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "config.json").write_text("{}")
    return folder


def test_a_checkpoint_appears_whole_with_its_digest(tmp_path: Path) -> None:
    digest = weights_digest(checkpoint(tmp_path / "a", b"one"))
    assert publish_checkpoint(tmp_path / "a", tmp_path / "out" / "1", 1) == digest
    assert not (tmp_path / "a").exists()
    assert damaged_files(tmp_path / "out" / "1") == []
    (tmp_path / "out" / "1" / "config.json").write_text("{ }")
    assert damaged_files(tmp_path / "out" / "1") == ["config.json"]


def test_publishing_twice_and_publishing_another(tmp_path: Path) -> None:
    final = tmp_path / "1"
    digest = publish_checkpoint(checkpoint(tmp_path / "a", b"one"), final, 1)
    assert publish_checkpoint(checkpoint(tmp_path / "b", b"one"), final, 1) == digest
    with pytest.raises(InvalidInput, match="already holds another checkpoint"):
        publish_checkpoint(checkpoint(tmp_path / "c", b"two"), final, 1)
    assert weights_digest(final) == digest


def test_weights_that_changed_after_the_manifest_are_another_policy_and_damaged(tmp_path: Path) -> None:
    digest = publish_checkpoint(checkpoint(tmp_path / "a", b"one"), tmp_path / "1", 1)
    assert verified_digest(tmp_path / "1") == digest
    (tmp_path / "1" / "model.safetensors").write_bytes(b"onE")
    assert weights_digest(tmp_path / "1") == weights_digest(checkpoint(tmp_path / "b", b"onE")) != digest
    with pytest.raises(InvalidInput, match=r"1 is damaged: model\.safetensors differ from manifest\.json; copy or train"):
        verified_digest(tmp_path / "1")
    with pytest.raises(InvalidInput, match="already holds another checkpoint"):
        publish_checkpoint(checkpoint(tmp_path / "c", b"one"), tmp_path / "1", 1)


@pytest.mark.parametrize("foreign", ['{"name": "a web app"}', '{"digest": "sha256:0"}', "[]", "no JSON"])
def test_a_manifest_of_another_making_says_nothing(tmp_path: Path, foreign: str) -> None:
    folder = checkpoint(tmp_path / "a", b"one")
    digest = weights_digest(folder)
    (folder / "manifest.json").write_text(foreign)
    assert (read_manifest(folder), verified_digest(folder), weights_digest(folder)) == (None, digest, digest)


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"holds no \*\.safetensors"):
        weights_digest(tmp_path)


def test_paths_stay_inside(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "link").symlink_to("/etc")
    assert within(str(tmp_path / "runs" / "a"), [tmp_path / "runs"]) == tmp_path / "runs" / "a"
    for outside in ("runs/../secret", "runs/link/passwd", "other"):
        with pytest.raises(InvalidInput, match="lies outside"):
            within(str(tmp_path / outside), [tmp_path / "runs"])


def test_places() -> None:
    assert str(RunPaths(Path("runs"), "demo").shard(2, "pairs", 7)) == "runs/demo/rounds/2/pairs/00007.parquet"
