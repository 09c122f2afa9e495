"""Every run config that is shipped can be read, and says what its name promises."""

from pathlib import Path

import pytest

from sparring_shared.algorithms import MnpoConfig, against
from sparring_shared.run_config import InpoConfig, SppoConfig, read_run_config

CONFIGS = Path(__file__).parents[3] / "configs"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_it_is_read_under_its_own_name(path: Path) -> None:
    assert read_run_config(path).name == path.stem


def test_sppo_of_the_paper() -> None:
    config = read_run_config(CONFIGS / "sppo-paper.toml")
    assert config.algorithm == SppoConfig(eta=1000.0, baseline=0.5)
    assert (config.sampling.k, config.sampling.temperature, config.sampling.top_p) == (5, 1.0, 1.0)
    assert (config.training.train_epochs, config.training.schedule_epochs) == (1, 18)
    assert config.judge.estimator == "pairwise"


def test_sppo_of_the_code() -> None:
    config = read_run_config(CONFIGS / "sppo-code.toml")
    assert (config.sampling.temperature, config.sampling.top_p) == (0.7, 0.9)
    assert (config.training.train_epochs, config.training.schedule_epochs) == (1, None)
    assert config.judge.estimator == "official"


def test_inpo_of_the_paper() -> None:
    config = read_run_config(CONFIGS / "inpo-iclr.toml")
    assert isinstance(config.algorithm, InpoConfig)
    assert (config.algorithm.eta, config.algorithm.tau_value) == (0.005, 0.005 / 3)
    assert (config.sampling.k, config.selection.name, config.training.batch_size) == (8, "knockout", 128)


@pytest.mark.parametrize(
    ("names", "engine", "model"),
    [
        (("demo-sppo", "demo-inpo", "demo-real-sppo", "demo-real-inpo", "real-prompts"), "pairrm", "models/demo-judge"),
        (("sppo-paper", "sppo-code", "s-sppo", "ipo-iterative", "kto-iterative"), "pairrm", "llm-blender/PairRM"),
        (("inpo-iclr",), "pair-lm", "RLHFlow/pair-preference-model-LLaMA3-8B"),
    ],
)
def test_a_recipe_names_its_judge(names: tuple[str, ...], engine: str, model: str) -> None:
    judges = [read_run_config(CONFIGS / f"{name}.toml").judge for name in names]
    assert [(judge.engine, judge.model) for judge in judges] == [(engine, model)] * len(names)


def test_there_is_a_recipe_for_every_method() -> None:
    recipes: list[str] = [
        "sppo-paper",
        "sppo-code",
        "inpo-iclr",
        "dpo-iterative",
        "ipo-iterative",
        "kto-iterative",
        "comal",
        "mnpo",
        "s-sppo",
    ]
    assert set(recipes) <= {path.stem for path in CONFIGS.glob("*.toml")}
    methods = [read_run_config(CONFIGS / f"{name}.toml").algorithm.name for name in recipes]
    assert methods == ["sppo", "sppo", "inpo", "dpo", "ipo", "kto", "inpo", "mnpo", "sppo"]
    assert {read_run_config(CONFIGS / f"{name}.toml").training.optimizer for name in recipes} == {"rmsprop", "adamw"}


def test_comal_resets_its_reference() -> None:
    algorithm = read_run_config(CONFIGS / "comal.toml").algorithm
    assert isinstance(algorithm, InpoConfig)
    assert (algorithm.eta, algorithm.tau_value) == (0.002, 0.002 / 3)
    assert [against(algorithm, number)["reference"] for number in (12, 13)] == [
        "version 0, the base",
        "version 12, reset after round 12",
    ]


def test_mnpo_names_its_means() -> None:
    algorithm = read_run_config(CONFIGS / "mnpo.toml").algorithm
    assert isinstance(algorithm, MnpoConfig)
    assert (algorithm.eta, algorithm.logprobs) == (0.0075, "mean")
    assert algorithm.shares == (2 / 3, 1 / 3)


def test_s_sppo_gates() -> None:
    assert read_run_config(CONFIGS / "s-sppo.toml").algorithm == SppoConfig(similarity_gate=1.0)
