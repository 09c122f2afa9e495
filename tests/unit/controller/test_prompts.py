"""One source of prompts: which rows are prompts, what is dropped and counted, and how the held-out ones are kept apart."""

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from skips import Skip

from sparring_controller.rounds.prompts.run_prompts import RunPrompts, is_heldout, read_prompts
from sparring_controller.rounds.prompts.source_reading import BadRows, prompt_of
from sparring_shared.errors import InvalidInput
from sparring_shared.prompt_sources import PromptsConfig
from sparring_shared.records import Message, Prompt

REAL = Path(__file__).parents[4] / "shared" / "data" / "train_prompts" / "prompts_512.jsonl"
ANSWERED = [{"role": "user", "content": "What is zinc?"}, {"role": "assistant", "content": "A metal."}]


def written(path: Path, *lines: str, **more: Any) -> PromptsConfig:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return PromptsConfig.model_validate({"source": str(path), "heldout": 0.5} | more)


def many(count: int) -> list[str]:
    return [json.dumps({"prompt": f"What is {number}?"}) for number in range(count)]


def texts(prompts: list[Prompt]) -> list[str]:
    return [prompt.messages[-1].content for prompt in prompts]


def both(found: RunPrompts) -> list[Prompt]:
    return [*found.training[0], *found.heldout]


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
    found = read_prompts(written(tmp_path / "a.jsonl", *lines))
    again = read_prompts(written(tmp_path / "b.jsonl", *reversed(lines), '{"prompt": "One more"}'))
    assert len(both(found)) == 40
    assert found.training[0] == sorted(found.training[0], key=lambda prompt: prompt.prompt_id)
    # Another file, another order, one prompt more: nobody changes sides.
    assert set(texts(found.heldout)) <= set(texts(again.heldout))
    assert set(texts(found.training[0])) <= set(texts(again.training[0]))
    assert not {p.prompt_id for p in found.training[0]} & {p.prompt_id for p in found.heldout}


def test_duplicates_are_dropped_and_counted(tmp_path: Path) -> None:
    found = read_prompts(written(tmp_path / "a.jsonl", *many(20), *many(3)))
    (report,) = found.reports
    assert (report.rows, report.duplicates, report.held_out + report.prompts) == (23, 3, 20)
    assert (report.held_out, report.prompts) == (len(found.heldout), len(found.training[0]))


def test_messages_and_blank_lines(tmp_path: Path) -> None:
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is zinc?", "name": None}]
    found = read_prompts(written(tmp_path / "a.jsonl", json.dumps({"prompt": turns}), "", *many(20)))
    conversation = (Message(role="system", content="Be brief."), Message(role="user", content="What is zinc?"))
    assert conversation in [prompt.messages for prompt in both(found)]
    assert found.reports[0].rows == 21


def test_an_answer_at_the_end_is_left_off_and_counted(tmp_path: Path) -> None:
    longer = [*ANSWERED, {"role": "user", "content": "And tin?"}, {"role": "assistant", "content": "Too."}]
    lines = [json.dumps({"prompt": turns}) for turns in (ANSWERED, longer)]
    found = read_prompts(written(tmp_path / "a.jsonl", *lines, *many(20)))
    kept = {tuple(message.content for message in prompt.messages) for prompt in both(found)}
    assert {("What is zinc?",), ("What is zinc?", "A metal.", "And tin?")} <= kept
    assert (found.reports[0].answered, found.reports[0].dropped) == (2, {})


def test_every_format_gives_the_same(tmp_path: Path) -> None:
    plain = read_prompts(written(tmp_path / "a.jsonl", *many(20)))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress((tmp_path / "a.jsonl").read_bytes()))
    pq.write_table(pa.table({"text": [json.loads(line)["prompt"] for line in many(20)]}), tmp_path / "a.parquet")
    turns = [[{"content": json.loads(line)["prompt"], "role": "user"}, ANSWERED[1]] for line in many(20)]
    pq.write_table(pa.table({"messages": turns}), tmp_path / "b.parquet")
    for name, column in (("a.jsonl.gz", "prompt"), ("a.parquet", "text"), ("b.parquet", "messages")):
        found = read_prompts(PromptsConfig(source=str(tmp_path / name), column=column, heldout=0.5))
        assert found[:2] == plain[:2]


BAD = [
    (b"{nonsense", "not JSON", "correct or remove them"),
    (b'{"prompt": "\xff"}', "not JSON", "correct or remove them"),
    (b'"text"', "not a JSON object", 'write one object a line, like {"prompt": "What is zinc?"}'),
    (b'{"text": "a", "id": 1}', "no column prompt", "set prompts.column to one of text, id"),
    (b'{"prompt": "a", "id": ' + b"1" * 5000 + b"}", "not JSON", "correct or remove them"),
    (b'{"prompt": " "}', "empty", "remove them"),
    (b'{"prompt": "\\ud800"}', "half a Unicode character", "correct them"),
    (b'{"prompt": 7}', "neither a text nor a list of messages", "choose another prompts.column"),
    (b'{"prompt": null}', "neither a text nor a list of messages", "choose another prompts.column"),
    (
        b'{"prompt": [{"role": "system", "content": "a"}, {"role": "assistant", "content": "b"}]}',
        "no user's turn to answer",
        "correct them or choose another prompts.column",
    ),
    (
        b'{"prompt": [{"from": "human", "value": "a"}]}',
        "a message without role and content",
        "each needs a role (system, user or assistant) and a text as its content",
    ),
]


@pytest.mark.parametrize(("line", "reason", "advice"), BAD)
def test_too_many_bad_rows_are_refused_by_reason(tmp_path: Path, line: bytes, reason: str, advice: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes("".join(f"{each}\n" for each in many(40)).encode() + line + b"\n")
    with pytest.raises(InvalidInput) as error:
        read_prompts(PromptsConfig(source=str(path), heldout=0.5))
    assert error.value.message == (
        f"{path}: 1 of 41 rows are no prompts, more than prompts.max_bad = 0.01 allows ({reason}: 1 (line 41)); {advice}."
    )


def test_a_byte_order_mark_is_no_part_of_the_first_row(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes("".join(f"{each}\n" for each in many(40)).encode("utf-8-sig"))
    assert len(both(read_prompts(PromptsConfig(source=str(path), heldout=0.5)))) == 40


def test_few_bad_rows_are_dropped_and_the_first_are_named(tmp_path: Path) -> None:
    lines = ['{"prompt": ""}', *many(30), '{"text": 1}', '{"prompt": ""}', '{"id": 1}', '{"prompt": ""}', '{"prompt": ""}']
    found = read_prompts(written(tmp_path / "a.jsonl", *lines, max_bad=0.2))
    assert len(both(found)) == 30
    assert found.reports[0].dropped == {
        "empty": BadRows(count=4, first=("line 1", "line 33", "line 35")),
        "no column prompt": BadRows(count=2, first=("line 32", "line 34")),
    }
    assert found.reports[0].dropped_in_words() == (
        "empty: 4 (line 1, line 33, line 35 ...); no column prompt: 2 (line 32, line 34)"
    )
    # 6 of 36 rows is the share that is just allowed.
    read_prompts(written(tmp_path / "a.jsonl", *lines, max_bad=6 / 36))
    with pytest.raises(InvalidInput, match="6 of 36 rows are no prompts"):
        read_prompts(written(tmp_path / "a.jsonl", *lines, max_bad=0.16))


def test_files_that_cannot_be_prompts(tmp_path: Path) -> None:
    (tmp_path / "bad.parquet").write_text("no parquet")
    (tmp_path / "bad.jsonl.gz").write_text("no gzip")
    (tmp_path / "torn.jsonl.gz").write_bytes(gzip.compress(("\n".join(many(500))).encode())[:-300])
    pq.write_table(pa.table({"prompt": [str(number) for number in range(5000)]}), tmp_path / "torn.parquet")
    whole = (tmp_path / "torn.parquet").read_bytes()
    (tmp_path / "torn.parquet").write_bytes(b"PAR1" + bytes(2000) + whole[2004:])
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "other.parquet")
    no_utf8 = pa.StringArray.from_buffers(1, pa.array([0, 2], pa.int32()).buffers()[1], pa.py_buffer(b"\xff\xfe"))
    pq.write_table(pa.table({"prompt": no_utf8}), tmp_path / "latin.parquet")
    said = {
        "none.jsonl": "There is no prompt file at",
        "bad.parquet": "is not a whole Parquet file",
        "torn.parquet": "is not a whole Parquet file",
        "latin.parquet": "is not a whole Parquet file",
        "bad.jsonl.gz": "cannot be read as JSON lines",
        "torn.jsonl.gz": "cannot be read as JSON lines",
        "other.parquet": "has no column prompt; set prompts.column to one of text.",
        "": "give a file that ends in .jsonl, .jsonl.gz or .parquet",
        "notes.txt": "give a file that ends in .jsonl, .jsonl.gz or .parquet",
    }
    for name, sentence in said.items():
        with pytest.raises(InvalidInput, match=sentence.replace(".", r"\.")):
            read_prompts(PromptsConfig(source=f"{tmp_path}/{name}"))


def test_empty_and_one_sided(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="holds no prompts"):
        read_prompts(written(tmp_path / "empty.jsonl"))
    with pytest.raises(InvalidInput, match=r"None of 5 prompts is held out at prompts\.heldout = 0\.0001; give more prompts"):
        read_prompts(written(tmp_path / "a.jsonl", *many(5), heldout=0.0001))
    with pytest.raises(
        InvalidInput, match="leaves nothing to play in all rounds: 0 duplicates, 5 held out, 0 dropped of 5 rows"
    ):
        read_prompts(written(tmp_path / "a.jsonl", *many(5), heldout=0.9999))
    with pytest.raises(
        InvalidInput, match=r"prompts\.per_round is 500, but .* has \d+ prompts to play in all rounds; lower it"
    ):
        read_prompts(written(tmp_path / "a.jsonl", *many(40), per_round=500))


@pytest.mark.skipif(not REAL.is_file(), reason=Skip.DATA_BESIDE)
def test_real_prompts() -> None:
    found = read_prompts(PromptsConfig(source=str(REAL)))
    assert (len(found.training[0]), len(found.heldout), found.reports[0].duplicates) == (458, 54, 0)
