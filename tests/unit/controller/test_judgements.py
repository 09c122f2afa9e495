"""How much one request to the judge holds."""

from sparring_controller.rounds.stages.judgements import Pace, completed, passes
from sparring_shared.records import JudgeRef
from sparring_shared.wire.judge import RankItem, RankResult


def item(k: int, *pairs: tuple[int, int]) -> RankItem:
    return RankItem(prompt="p", candidates=tuple("abcdefgh"[:k]), pairs=pairs or None)


def requests(items: list[RankItem], per_second: float, allowed: float = 600.0) -> list[tuple[int, float]]:
    """Items and seconds of each request to a judge of such a speed."""
    pace, made = Pace(), []
    while items:
        share = pace.share(items)
        some, items = items[:share], items[share:]
        needed = sum(map(passes, some))
        made.append((share, needed / per_second))
        pace = pace.after(needed, needed / per_second, allowed)
    return made


def test_passes_are_both_orders_of_each_pair() -> None:
    assert [passes(one) for one in (item(5), item(8), item(8, (0, 1)), item(8, (0, 1), (0, 2)))] == [20, 56, 2, 4]


def test_a_judge_as_slow_as_pairrm_on_a_processor_gets_requests_that_it_finishes() -> None:
    made = requests([item(5)] * 128, per_second=0.47)
    assert made == [(3, 60 / 0.47)] * 42 + [(2, 40 / 0.47)]
    assert max(seconds for _, seconds in made) < 150 < 600


def test_a_quick_judge_gets_ever_larger_requests() -> None:
    assert [share for share, _ in requests([item(5)] * 300, per_second=1000.0)] == [3, 6, 12, 25, 51, 51, 51, 51, 50]
    assert [share for share, _ in requests([item(8, (0, 1))] * 200, per_second=1000.0)] == [32, 64, 64, 40]


def test_what_needs_more_than_the_pace_goes_alone() -> None:
    assert [share for share, _ in requests([item(8)] * 3, per_second=0.1)] == [1, 1, 1]
    assert Pace(10).share([item(8), item(2)]) == 1


def result(logits: list[list[float | None]], truncated: tuple[bool, ...]) -> RankResult:
    values = {"logits": logits, "probs": logits, "truncated": truncated, "tokens": [1] * len(truncated)}
    unknown = dict.fromkeys(("win_rates", "scores", "ranks", "position_bias"))
    return RankResult.model_validate(
        {**values, **unknown, "prompt_truncated": False, "prompt_tokens": 1, "passes": 2, "cache_hits": 0}
    )


def test_what_is_judged_completes_what_is_known() -> None:
    judge = JudgeRef(name="j", revision="1")
    first = completed(None, "p", result([[0, 1, None], [-1, 0, None], [None, None, 0]], (False, True, False)), judge)
    assert str(first.logits) == "((0.0, 1.0, nan), (-1.0, 0.0, nan), (nan, nan, 0.0))"
    both = completed(first, "p", result([[0, None, 2], [None, 0, None], [-2, None, 0]], (True, False, False)), judge)
    assert str(both.logits) == "((0.0, 1.0, 2.0), (-1.0, 0.0, nan), (-2.0, nan, 0.0))"
    assert (both.truncated, both.prompt_id) == ((True, True, False), "p")
