"""A source for each round: no prompt in two rounds, none on both sides."""

import gzip
import json
from pathlib import Path

import pytest
from skips import Skip

from sparring_controller.rounds.prompts.run_prompts import RunPrompts, read_prompts
from sparring_shared.errors import InvalidInput
from sparring_shared.prompt_sources import PromptsConfig
from sparring_shared.records import Prompt

REAL = Path(__file__).parents[4] / "shared" / "data" / "train_prompts" / "prompts_train.jsonl.gz"


def written(path: Path, *texts: str) -> dict[str, str]:
    path.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in texts), encoding="utf-8")
    return {"source": str(path)}


def texts(prompts: list[Prompt]) -> set[str]:
    return {prompt.messages[-1].content for prompt in prompts}


def counts(found: RunPrompts) -> list[tuple[str, int, int, int, int]]:
    return [(each.name, each.rows, each.duplicates, each.held_out, each.prompts) for each in found.reports]


def test_a_prompt_is_held_out_or_played_in_the_first_round_that_has_it(tmp_path: Path) -> None:
    config = PromptsConfig.model_validate(
        {
            "rounds": [
                written(tmp_path / "1.jsonl", "a", "b", "c", "a"),
                written(tmp_path / "2.jsonl", "b", "d", "x"),
                written(tmp_path / "3.jsonl", "e", "a", "d", "x", "y"),
            ],
            "heldout_source": written(tmp_path / "held.jsonl", "x", "c", "z", "z"),
        }
    )
    found = read_prompts(config)
    assert [texts(prompts) for prompts in found.training] == [{"a", "b"}, {"d"}, {"e", "y"}]
    assert texts(found.heldout) == {"x", "c", "z"}
    assert counts(found) == [
        ("round 1", 4, 1, 1, 2),
        ("round 2", 3, 1, 1, 1),
        ("round 3", 5, 3, 0, 2),
        ("held out", 4, 1, 0, 3),
    ]


def test_a_share_is_held_out_of_all_rounds(tmp_path: Path) -> None:
    rounds = [written(tmp_path / f"{i}.jsonl", *(f"Question {n}?" for n in range(i * 30, i * 30 + 40))) for i in range(3)]
    found = read_prompts(PromptsConfig.model_validate({"rounds": rounds, "heldout": 0.3}))
    alone = read_prompts(
        PromptsConfig(source=written(tmp_path / "all.jsonl", *(f"Question {n}?" for n in range(100)))["source"], heldout=0.3)
    )
    assert found.heldout == alone.heldout
    played = [text for prompts in found.training for text in texts(prompts)]
    assert len(played) == len(set(played)) == 100 - len(found.heldout)
    assert [(report.duplicates, report.rows) for report in found.reports] == [(0, 40), (10, 40), (10, 40)]


def test_what_is_wrong_with_a_round_is_said_of_that_round(tmp_path: Path) -> None:
    first = written(tmp_path / "1.jsonl", *(f"Question {n}?" for n in range(20)))
    none = str(tmp_path / "none.jsonl")
    said = [
        (
            {"rounds": [first, {"source": none}]},
            f"There is no prompt file at {none}; correct source in round 2 of prompts.rounds.",
        ),
        ({"rounds": [first, {**first, "column": "text"}]}, "; set column in round 2 of prompts.rounds to one of prompt."),
        ({"rounds": [first, first]}, "leaves nothing to play in round 2: 20 duplicates, 0 held out, 0 dropped of 20 rows; "),
        ({"rounds": [first], "per_round": 500}, "prompts to play in round 1; lower it or add prompts."),
        (
            {**first, "heldout_source": {"source": none}},
            f"There is no prompt file at {none}; correct prompts.heldout_source.source.",
        ),
        ({**first, "heldout_source": first}, "leaves nothing to play in all rounds: 0 duplicates, 20 held out, "),
    ]
    for table, sentence in said:
        with pytest.raises(InvalidInput) as error:
            read_prompts(PromptsConfig.model_validate(table))
        assert sentence in error.value.message


@pytest.mark.skipif(not REAL.is_file(), reason=Skip.DATA_BESIDE)
def test_real_prompts_in_three_files_are_three_disjoint_rounds(tmp_path: Path) -> None:
    with gzip.open(REAL, "rt", encoding="utf-8") as lines:
        every = [json.loads(line)["prompt"] for line in lines]
    config = PromptsConfig.model_validate(
        {
            "rounds": [written(tmp_path / f"{i}.jsonl", *every[i::3]) for i in range(3)],
            "heldout_source": {"source": str(REAL.with_name("prompts_512.jsonl"))},
        }
    )
    found = read_prompts(config)
    ids = [{prompt.prompt_id for prompt in prompts} for prompts in (*found.training, found.heldout)]
    assert [len(each) for each in ids] == [6267, 6267, 6266, 512]
    assert len(set().union(*ids)) == 18800 + 512
