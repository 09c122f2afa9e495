"""Which policies a method is trained against, and what it cannot be trained on."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from sparring_shared.algorithms import (
    Algorithm,
    DpoConfig,
    GpoConfig,
    InpoConfig,
    IpoConfig,
    MnpoConfig,
    SppoConfig,
    against,
    history_versions,
    reference_version,
)
from sparring_shared.run_config import RunConfig


@pytest.mark.parametrize(
    ("algorithm", "versions"),
    [
        (SppoConfig(), [None] * 5),
        (SppoConfig(reverse_kl=0.1), [0] * 5),
        (SppoConfig(forward_kl=0.1, reset_every=1), [0, 1, 2, 3, 4]),
        (InpoConfig(), [0] * 5),
        (InpoConfig(reset_every=2), [0, 0, 2, 2, 4]),
        (DpoConfig(), [0, 1, 2, 3, 4]),
        (IpoConfig(reference="base"), [0] * 5),
        (MnpoConfig(), [None] * 5),
        (GpoConfig(), [None] * 5),
    ],
)
def test_the_reference_of_each_round(algorithm: Algorithm, versions: list[int | None]) -> None:
    assert [reference_version(algorithm, number) for number in range(1, 6)] == versions


def test_the_history_of_mnpo_ends_at_the_base() -> None:
    three = MnpoConfig(weights=(4, 3, 1))
    assert three.shares == (0.5, 0.375, 0.125)
    assert [history_versions(three, number) for number in (1, 2, 5)] == [(0, 0, 0), (1, 0, 0), (4, 3, 2)]
    assert history_versions(InpoConfig(), 3) == ()


def test_what_a_round_is_against_is_said_in_words() -> None:
    assert against(SppoConfig(), 3) == {"previous": "version 2"}
    assert against(InpoConfig(), 2) == {"previous": "version 1", "reference": "version 0, the base"}
    assert against(InpoConfig(reset_every=2), 3) == {"previous": "version 2", "reference": "version 2, reset after round 2"}
    assert against(DpoConfig(), 2) == {"previous": "version 1", "reference": "version 1, the round before"}
    assert against(MnpoConfig(), 3) == {"previous": "version 2", "history": "0.667 of version 2, 0.333 of version 1"}


def run(algorithm: dict[str, Any], selection: str, **judge: Any) -> RunConfig:
    body = {"name": "a", "policy": {"model": "m"}, "prompts": {"source": "p"}, "judge": judge}
    return RunConfig.model_validate({**body, "algorithm": algorithm, "selection": {"name": selection}})


@pytest.mark.parametrize("name", ["inpo", "dpo", "ipo", "kto", "mnpo", "rebel"])
def test_methods_of_pairs_refuse_to_train_on_all(name: str) -> None:
    with pytest.raises(
        ValidationError, match=f"selection all trains every answer on its own win rate, but {name} learns from pairs"
    ):
        run({"name": name}, "all")
    run({"name": name}, "best_worst")
    run({"name": name}, "random")


@pytest.mark.parametrize("name", ["sppo", "gpo", "rebel"])
def test_methods_of_win_rates_refuse_the_knockout(name: str) -> None:
    with pytest.raises(ValidationError, match=f"selection knockout judges too few pairs for the win rates that {name} needs"):
        run({"name": name}, "knockout")


@pytest.mark.parametrize("name", ["inpo", "dpo", "ipo", "kto", "mnpo"])
def test_methods_of_comparisons_take_the_knockout(name: str) -> None:
    assert run({"name": name}, "knockout").selection.name == "knockout"


def test_sppo_takes_all_unless_it_compares() -> None:
    assert run({"name": "sppo"}, "all").selection.name == "all"
    assert run({"name": "sppo", "targets": "pair"}, "knockout").selection.name == "knockout"
    with pytest.raises(ValidationError, match=r"algorithm\.targets is pair"):
        run({"name": "sppo", "targets": "pair"}, "all")
    with pytest.raises(ValidationError, match="similarity_gate compares chosen and rejected"):
        run({"name": "sppo", "similarity_gate": 0.5}, "all")


@pytest.mark.parametrize(
    ("algorithm", "selection", "judge", "sentence"),
    [
        ({"name": "inpo"}, "knockout", {"estimator": "official"}, "official needs all pairs judged"),
        ({"name": "sppo"}, "best_worst", {"estimator_k": 6}, r"estimator_k must be at most sampling\.k, but it is 6 of 5"),
        ({"name": "sppo", "reset_every": 2}, "best_worst", {}, "SPPO has no reference; set forward_kl or reverse_kl"),
        ({"name": "mnpo", "weights": [0, 0]}, "best_worst", {}, "weights must hold a positive number"),
        ({"name": "sppo", "eta": 0}, "best_worst", {}, "greater than 0"),
        ({"name": "inpo", "eta": 0.1, "tau": -0.1}, "best_worst", {}, "greater than or equal to 0"),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    algorithm: dict[str, Any], selection: str, judge: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValidationError, match=sentence):
        run(algorithm, selection, **judge)


def test_a_method_is_found_by_its_name() -> None:
    assert TypeAdapter(Algorithm).validate_python({"name": "mnpo", "weights": [1]}) == MnpoConfig(weights=(1,))
