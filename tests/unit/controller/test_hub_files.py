"""Data sets of the hub, from a cache that looks as the hub's client leaves it, and from a small hub of the test's own."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub_server import hub

from sparring_controller.rounds.prompts.run_prompts import RunPrompts, read_prompts
from sparring_shared.errors import InvalidInput
from sparring_shared.prompt_sources import PromptsConfig
from sparring_shared.records import Prompt

COMMIT = "0123" * 10
CARD = """---
license: mit
configs:
- config_name: default
  data_files:
  - split: train_prefs
    path: data/train_prefs-*
  - split: test_prefs
    path:
    - data/test_prefs-00000-of-00001.parquet
- config_name: small
  data_files: few.jsonl
---
# Questions
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return tmp_path


def dataset(cache: Path, name: str, files: dict[str, Any], revision: str = "main") -> None:
    """A data set in the cache: texts as they are, lists of prompts as Parquet (`prompt`) or JSON lines."""
    folder = cache / f"datasets--{name.replace('/', '--')}"
    ref = folder / "refs" / revision
    ref.parent.mkdir(parents=True, exist_ok=True)
    ref.write_text(COMMIT)
    for file, content in files.items():
        path = folder / "snapshots" / COMMIT / file
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.write_text(content)
        elif path.suffix == ".parquet":
            pq.write_table(pa.table({"prompt": content}), path)
        else:
            path.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in content))


def read(**prompts: Any) -> RunPrompts:
    return read_prompts(PromptsConfig.model_validate({"heldout_source": {"source": "org/held"}} | prompts))


def texts(prompts: list[Prompt]) -> set[str]:
    return {prompt.messages[-1].content for prompt in prompts}


def test_three_sets_are_three_rounds(cache: Path) -> None:
    """Laid out as the papers' sets are: one Parquet file of a split, conversations or texts."""
    for number in (1, 2, 3):
        turns = [[{"content": f"Question {number}{i}?", "role": "user"}] for i in range(4)]
        dataset(cache, f"org/iter{number}-20K", {"data/train-00000-of-00001.parquet": turns, "README.md": "# No head\n"})
    dataset(cache, "org/held", {"data/test-00000-of-00001.parquet": ["h1", "Question 30?"], "data/train-0.parquet": ["t"]})
    found = read(
        rounds=[{"source": f"org/iter{number}-20K"} for number in (1, 2, 3)],
        heldout_source={"source": "org/held", "split": "test"},
    )
    assert [len(texts(prompts)) for prompts in found.training] == [4, 4, 3]
    assert texts(found.heldout) == {"h1", "Question 30?"}
    assert {report.revision for report in found.reports} == {COMMIT}
    assert found.reports[0].source == "org/iter1-20K"


def test_the_card_says_which_files_are_a_split(cache: Path) -> None:
    dataset(cache, "org/held", {"test.jsonl": ["h"], "train.jsonl": ["held"]})
    shards = {f"data/train_prefs-{i:05d}-of-00002.parquet": [f"p{i}"] for i in range(2)}
    dataset(
        cache,
        "org/set",
        {"README.md": CARD, "data/test_prefs-00000-of-00001.parquet": ["t"], "few.jsonl": ["f", "g"], **shards},
    )
    assert texts(read(source="org/set", split="train_prefs").training[0]) == {"p0", "p1"}
    assert texts(read(source="org/set", split="test_prefs").training[0]) == {"t"}
    assert texts(read(source="org/set", subset="small").training[0]) == {"f", "g"}
    said = {
        "split": "org/set has no split train; set prompts.split to one of train_prefs, test_prefs.",
        "subset": "org/set has no subset large; set prompts.subset to one of default, small.",
    }
    for more, sentence in (({}, said["split"]), ({"subset": "large"}, said["subset"])):
        with pytest.raises(InvalidInput) as error:
            read(source="org/set", **more)
        assert error.value.message == sentence


def test_files_without_a_card_are_found_by_their_names(cache: Path) -> None:
    dataset(cache, "org/held", {"held/train.jsonl": ["h"]})
    dataset(cache, "org/parts", {"evol.jsonl": ["a"], "sharegpt.jsonl.txt": "no", "flan.jsonl": ["b"]})
    dataset(cache, "org/only-test", {"test.jsonl": ["a"]})
    dataset(cache, "org/subsets", {"en/train.jsonl": ["a"], "de/train.jsonl": ["b"], "de/trains.jsonl": ["c"]})
    dataset(cache, "org/converted", {"default/train/0000.parquet": ["a"]}, "refs/convert/parquet")
    assert texts(read(source="org/parts").training[0]) == {"a", "b"}
    assert texts(read(source="org/subsets", subset="de").training[0]) == {"b"}
    assert texts(read(source="org/converted", revision="refs/convert/parquet").training[0]) == {"a"}
    with pytest.raises(InvalidInput) as error:
        read(source="org/only-test")
    assert error.value.message == (
        "org/only-test has no Parquet or JSON-lines file of the split train; correct prompts.split, or set prompts.revision to "
        "refs/convert/parquet, where the hub keeps Parquet files of public data sets."
    )


def test_a_bad_row_of_a_data_set_is_named_with_its_file(cache: Path) -> None:
    dataset(cache, "org/held", {"train.jsonl": ["h"]})
    dataset(cache, "org/set", {"train-0.parquet": ["a", ""], "train-1.parquet": ["b", "c", None]})
    found = read(source="org/set", max_bad=0.5)
    assert found.reports[0].dropped_in_words() == (
        "empty: 1 (row 2 of train-0.parquet); neither a text nor a list of messages: 1 (row 3 of train-1.parquet)"
    )


def test_a_set_that_cannot_be_had(cache: Path) -> None:
    dataset(cache, "org/held", {"train.jsonl": ["h"]})
    with pytest.raises(InvalidInput) as error:
        read(source="org/absent")
    said = error.value.message
    assert said.startswith("The Hugging Face dataset org/absent cannot be had: ")
    assert said.endswith("; check prompts.source, prompts.revision and the network.")
    dataset(cache, "org/odd", {"README.md": "---\nconfigs: [{data_files: 7}]\n---\n", "train.jsonl": ["a"]})
    dataset(cache, "org/broken", {"README.md": "---\nconfigs: [\n---\n", "train.jsonl": ["a"]})
    for name in ("org/odd", "org/broken"):
        with pytest.raises(InvalidInput, match=f"README.md of the Hugging Face dataset {name} cannot be read"):
            read(source=name)


def test_sets_are_downloaded_once_and_only_what_is_needed(tmp_path: Path) -> None:
    """The command in a process of its own, first with a hub and then without a network."""
    rounds = {f"org/iter{number}-20K": f"data/train-0000{number}-of-00004.parquet" for number in (1, 2, 3)}
    sets = {name: {file: parquet(f"{name} {i}?" for i in range(50)), "big.bin": b"x"} for name, file in rounds.items()}
    listed = ", ".join(f'{{source = "{name}"}}' for name in rounds)
    (tmp_path / "run.toml").write_text(f'name = "a"\n[policy]\nmodel = "m"\n[prompts]\nrounds = [{listed}]\n')
    command = [Path(sys.executable).with_name("sparring"), "prompts", "run.toml"]
    said: list[str] = []
    with hub(sets) as (address, downloaded):
        for more in ({}, {"HF_HUB_OFFLINE": "1"}):
            environment = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "cache"), **more}
            done = subprocess.run(
                command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
            )
            assert done.returncode == 0, done.stderr
            said.append(done.stdout)
    assert said[0] == said[1]
    assert all(f"org/iter{number}-20K @ 0000000 " in said[0] for number in (1, 2, 3))
    assert sorted(path.rpartition("/")[2] for path in downloaded) == [file.rpartition("/")[2] for file in rounds.values()]


def parquet(prompts: Iterable[str]) -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table({"prompt": list(prompts)}), stream)
    return stream.getvalue()
