"""Prompts from files, and how they are kept apart."""

import gzip
import hashlib
import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from skips import Skip

from sparring_controller.rounds.prompts import is_heldout, load_prompts, prompt_of
from sparring_shared.errors import InvalidInput
from sparring_shared.records import Message, Prompt
from sparring_shared.run_config import PromptsConfig

REAL = Path(__file__).parents[4] / "shared" / "data" / "train_prompts" / "prompts_512.jsonl"


def written(path: Path, *lines: str) -> PromptsConfig:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return PromptsConfig(source=str(path), heldout=0.5)


def many(count: int) -> list[str]:
    return [json.dumps({"prompt": f"What is {number}?"}) for number in range(count)]


def texts(prompts: list[Prompt]) -> list[str]:
    return [prompt.messages[-1].content for prompt in prompts]


def test_the_id_is_the_hash_of_the_canonical_messages() -> None:
    canonical = '[{"content":"Was ist Zink?","role":"user"}]'
    prompt = prompt_of((Message(role="user", content="Was ist Zink?"),))
    assert prompt.prompt_id == hashlib.sha256(canonical.encode()).hexdigest()[:16]


def test_held_out_by_the_hash_as_a_fraction() -> None:
    prompt = Prompt(prompt_id="4000000000000000", messages=(Message(role="user", content="a"),))  # 0.25
    assert is_heldout(prompt, 0.26)
    assert not is_heldout(prompt, 0.25)


def test_lines_are_split_for_good_and_sorted(tmp_path: Path) -> None:
    lines = many(40)
    split = load_prompts(written(tmp_path / "a.jsonl", *lines))
    again = load_prompts(written(tmp_path / "b.jsonl", *reversed(lines), '{"prompt": "One more"}'))
    assert len(split.training) + len(split.heldout) == 40
    assert split.training == sorted(split.training, key=lambda prompt: prompt.prompt_id)
    # Another file, another order, one prompt more: nobody changes sides.
    assert set(texts(split.heldout)) <= set(texts(again.heldout))
    assert set(texts(split.training)) <= set(texts(again.training))
    assert not {p.prompt_id for p in split.training} & {p.prompt_id for p in split.heldout}


def test_duplicates_are_dropped_and_counted(tmp_path: Path) -> None:
    split = load_prompts(written(tmp_path / "a.jsonl", *many(20), *many(3)))
    assert (len(split.training) + len(split.heldout), split.duplicates) == (20, 3)


def test_messages_and_blank_lines(tmp_path: Path) -> None:
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is zinc?", "name": None}]
    split = load_prompts(written(tmp_path / "a.jsonl", json.dumps({"prompt": turns}), "", *many(20)))
    conversation = (Message(role="system", content="Be brief."), Message(role="user", content="What is zinc?"))
    assert conversation in [prompt.messages for prompt in [*split.training, *split.heldout]]


def test_gzip_and_parquet_read_alike(tmp_path: Path) -> None:
    plain = load_prompts(written(tmp_path / "a.jsonl", *many(20)))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress((tmp_path / "a.jsonl").read_bytes()))
    pq.write_table(pa.table({"text": [json.loads(line)["prompt"] for line in many(20)]}), tmp_path / "a.parquet")
    assert load_prompts(PromptsConfig(source=str(tmp_path / "a.jsonl.gz"), heldout=0.5)) == plain
    assert load_prompts(PromptsConfig(source=str(tmp_path / "a.parquet"), column="text", heldout=0.5)) == plain


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{nonsense", "Line 3 of FILE is not JSON; correct or remove it."),
        ('"text"', 'Line 3 of FILE is not a JSON object; write one object a line, like {"prompt": "What is zinc?"}.'),
        ('{"text": "a", "id": 1}', "Line 3 of FILE has no column prompt; set prompts.column to one of text, id."),
        ('{"prompt": " "}', "Line 3 of FILE is empty; remove it."),
        ('{"prompt": 7}', "Line 3 of FILE is neither a text nor a list of messages; choose another prompts.column."),
        (
            '{"prompt": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}',
            "Line 3 of FILE does not end with a user's turn; remove the answer at its end.",
        ),
        (
            '{"prompt": [{"from": "human", "value": "a"}]}',
            "Line 3 of FILE has a message without a role (system, user or assistant) and a text as content; correct it.",
        ),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "a.jsonl"
    with pytest.raises(InvalidInput) as error:
        load_prompts(written(path, *many(2), line))
    assert error.value.message == said.replace("FILE", str(path))


def test_files_that_cannot_be_prompts(tmp_path: Path) -> None:
    (tmp_path / "bad.parquet").write_text("no parquet")
    (tmp_path / "bad.jsonl.gz").write_text("no gzip")
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "other.parquet")
    said = {
        "none.jsonl": "There is no prompt file at",
        "bad.parquet": "is not a Parquet file",
        "bad.jsonl.gz": "cannot be read as JSON lines",
        "other.parquet": "has no column prompt; set prompts.column to one of text.",
        "": "give a file that ends in .jsonl, .jsonl.gz or .parquet",
        "notes.txt": "give a file that ends in .jsonl, .jsonl.gz or .parquet",
    }
    for name, sentence in said.items():
        with pytest.raises(InvalidInput, match=sentence.replace(".", r"\.")):
            load_prompts(PromptsConfig(source=f"{tmp_path}/{name}"))


def test_empty_and_one_sided(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="holds no prompts"):
        load_prompts(written(tmp_path / "empty.jsonl"))
    with pytest.raises(InvalidInput, match=r"no held-out prompts of 5 at prompts\.heldout = 0\.0001"):
        load_prompts(written(tmp_path / "a.jsonl", *many(5)).model_copy(update={"heldout": 0.0001}))
    with pytest.raises(InvalidInput, match="no training prompts of 5"):
        load_prompts(written(tmp_path / "a.jsonl", *many(5)).model_copy(update={"heldout": 0.9999}))


@pytest.mark.skipif(not REAL.is_file(), reason=Skip.DATA_BESIDE)
def test_real_prompts() -> None:
    split = load_prompts(PromptsConfig(source=str(REAL)))
    assert (len(split.training), len(split.heldout), split.duplicates) == (458, 54, 0)


def test_a_data_set_without_the_package_that_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)  # as in the controller's image
    with pytest.raises(InvalidInput, match=r"^prompts\.source is org/questions, but this controller runs without the package"):
        load_prompts(PromptsConfig(source="org/questions"))
