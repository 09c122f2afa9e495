"""Agreement with the real llm-blender 0.0.2, engine level."""

import functools
from typing import Any

import numpy as np
import pytest
from judge_golden import LAYOUTS, Golden

from sparring_judge.engines.engine import Computer, judge_tasks
from sparring_judge.engines.pairrm.engine import PairRmReader, load_pairrm
from sparring_judge.settings import JudgeSettings
from sparring_judge.tasks.task import Task, games
from sparring_judge.tasks.units import Judgement
from sparring_shared.preference import Floats, scores

TOLERANCE = 1e-4
WIDTHS = ("k4", "k6")  # only ours has them
GROUPS = ("basic_k5", "k2", "k1", "edge", "long_cand", "long_source", "batch_effect")


@functools.cache
def load(model: str, **limits: int) -> tuple[PairRmReader, Computer]:
    settings = JudgeSettings(model=model, device="cpu", **limits)  # pyright: ignore[reportArgumentType]
    engine = load_pairrm(settings)
    assert isinstance(engine.reader, PairRmReader)
    return engine.reader, engine.load()


def logits(judge: tuple[PairRmReader, Computer], sources: list[str], candidates: list[list[str]]) -> list[Floats]:
    tasks = [Task(s, tuple(c), games(len(c))) for s, c in zip(sources, candidates, strict=True)]
    judged = judge_tasks(*judge, tasks)
    assert all(isinstance(one, Judgement) for one in judged)
    return [one.logits for one in judged if isinstance(one, Judgement)]


def assert_close(found: Any, wanted: Any) -> None:
    np.testing.assert_allclose(np.asarray(found), np.asarray(wanted), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", GROUPS)
def test_the_matrix_and_scores_are_llm_blenders(golden: Golden, layout: str, name: str) -> None:
    group = golden.groups[name]
    found = logits(load(golden.checkpoints[layout]), group["inputs"], group["candidates"])
    assert_close(np.stack(found), group["logit_matrix_bs1"])
    assert_close([scores(one) for one in found], group["rank_scores_bs1"])


def test_four_and_six_candidates_too(golden: Golden) -> None:
    for group in (golden.groups[name] for name in WIDTHS if name in golden.groups):
        found = logits(load(golden.checkpoints["pairrm_hf"]), group["inputs"], group["candidates"])
        assert_close(np.stack(found), group["logit_matrix_bs1"])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", [name for name in GROUPS if name != "k1"])
def test_the_input_ids_are_llm_blenders(golden: Golden, layout: str, name: str) -> None:
    group, (reader, _) = golden.groups[name], load(golden.checkpoints[layout])
    for source, candidates, wanted in zip(group["inputs"], group["candidates"], group["pair01_input_ids"], strict=True):
        tokenised = reader.tokenise(Task(source, tuple(candidates), ()))
        assert list(reader.one_pass(tokenised, (0, 1)).ids) == wanted


@pytest.mark.parametrize("name", [name for name in GROUPS if name != "k1"])
def test_comparisons_are_llm_blenders(golden: Golden, name: str) -> None:
    group = golden.groups[name]
    found = logits(load(golden.checkpoints["pairrm"]), group["inputs"], [candidates[:2] for candidates in group["candidates"]])
    # With two candidates the budget is the same as with all, so the recorded comparisons hold.
    assert_close([one[0, 1] for one in found], group["compare_logits_bs1 [A,B]"])
    assert_close([one[1, 0] for one in found], group["compare_logits_bs1 [B,A]"])
    assert_close([one[0, 1] - one[1, 0] for one in found], group["compare_logits_bs1 [A,B]+[B,A]"])


def test_an_instruction_is_put_before_the_prompt_by_the_caller(golden: Golden) -> None:
    group = golden.groups["k2_instructions"]
    sources = [instruction + source for instruction, source in zip(group["instructions"], group["inputs"], strict=True)]
    assert_close(
        [scores(one) for one in logits(load(golden.checkpoints["pairrm"]), sources, group["candidates"])],
        group["rank_scores_bs1"],
    )


def test_shorter_limits_cut_as_llm_blender_cuts(golden: Golden) -> None:
    group = golden.groups["basic_k5_short_limits"]
    judge = load(
        golden.checkpoints["pairrm"],
        source_max_tokens=group["source_max_length"],
        candidate_max_tokens=group["candidate_max_length"],
    )
    assert_close([scores(one) for one in logits(judge, group["inputs"], group["candidates"])], group["rank_scores_bs1"])


def test_the_best_of_n_has_the_highest_score(golden: Golden) -> None:
    group = golden.groups["basic_k5_best_of_n_full"]
    found = logits(load(golden.checkpoints["pairrm"]), group["inputs"], group["candidates"])
    best = [c[int(scores(one).argmax())] for c, one in zip(group["candidates"], found, strict=True)]
    assert best == group["best_full"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_conversations_rendered_as_llm_blender_renders_them(golden: Golden, layout: str) -> None:
    group = golden.groups["conversations"]
    instruction = "Finish the following coversation in each i-th turn by filling in <Response i> with your response."

    def source(turns: list[dict[str, str]]) -> str:
        users = enumerate(turns[::2], start=1)
        return instruction + "\n".join(f"USER: {turn['content']}\nAssistant: <Response {n}>" for n, turn in users)

    def answers(turns: list[dict[str, str]]) -> str:
        return "\n".join(f"<Response {n}>: {turn['content']}" for n, turn in enumerate(turns[1::2], start=1))

    sides = list(zip(group["conv_a"], group["conv_b"], strict=True))
    found = logits(
        load(golden.checkpoints[layout]), [source(a) for a, _ in sides], [[answers(a), answers(b)] for a, b in sides]
    )
    assert_close([one[0, 1] for one in found], group["logits [A,B]"])
    assert_close([one[0, 1] for one in found], group["hf_logits [A,B]"])
    assert_close([one[0, 1] - one[1, 0] for one in found], group["logits [A,B]+[B,A]"])


def test_the_hf_layout_gives_what_its_own_class_gives(golden: Golden) -> None:
    group = golden.groups["k2_hf_native"]
    candidates = [[a, b] for a, b in zip(group["A"], group["B"], strict=True)]
    found = logits(load(golden.checkpoints["pairrm_hf"]), group["inputs"], candidates)
    assert_close([one[0, 1] for one in found], group["hf_logits_AB"])


def test_an_item_scores_alone_as_among_others(golden: Golden) -> None:
    group, judge = golden.groups["batch_effect"], load(golden.checkpoints["pairrm"])
    together = logits(judge, group["inputs"], group["candidates"])
    alone = [logits(judge, [s], [c])[0] for s, c in zip(group["inputs"], group["candidates"], strict=True)]
    assert_close(together, alone)
    assert np.abs(scores(alone[0]) - np.asarray(group["rank_scores_bs_all"][0])).max() > TOLERANCE
