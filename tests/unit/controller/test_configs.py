"""Every recipe that is shipped comes to the numbers that its source states."""

from pathlib import Path
from typing import NamedTuple

import pytest

from sparring_shared.algorithms import (
    Algorithm,
    DpoConfig,
    InpoConfig,
    IpoConfig,
    KtoConfig,
    MnpoConfig,
    SppoConfig,
    against,
)
from sparring_shared.run_config import read_run_config
from sparring_shared.schedule import epoch_steps, learning_rates

CONFIGS = Path(__file__).parents[3] / "configs"

MISTRAL, LLAMA = "mistralai/Mistral-7B-Instruct-v0.2", "meta-llama/Meta-Llama-3-8B-Instruct"
SFT = "RLHFlow/LLaMA3-SFT"
SNORKEL = tuple(("snorkelai/Snorkel-Mistral-PairRM-DPO-Dataset", f"train_iteration_{i}") for i in (1, 2, 3))
UCLA = tuple((f"UCLA-AGI/data-mistral-7b-instruct-sppo-iter{i}", "train") for i in (1, 2, 3))
RLHFLOW = tuple((f"RLHFlow/iterative-prompt-v1-iter{i}-20K", "train") for i in (1, 2, 3))
PAIRRM, PAIR_LM = ("pairrm", "llm-blender/PairRM"), ("pair-lm", "RLHFlow/pair-preference-model-LLaMA3-8B")
REWARD = ("reward", "sfairXC/FsfairX-LLaMA3-RM-v0.1")


class Stated(NamedTuple):
    """What a source states of a recipe, or the recipe calls its own; the rates are summed over a round of 20,000 pairs."""

    model: str
    prompts: tuple[tuple[str, str], ...]
    judge: tuple[str, str]
    estimator: str
    k: int
    temperature: float
    top_p: float
    max_tokens: int
    selection: str
    algorithm: Algorithm
    optimizer: str
    batch: int
    steps: int
    peak: float
    summed_rate: float
    lengths: tuple[int, int]


SAMPLED = (5, 1.0, 1.0, 2048)
EIGHT = (8, 1.0, 1.0, 2048)
# SPPO, 5.1: 313 steps of a schedule of 5,634, of which 564 warm up: 5e-7 * (0 + ... + 312) / 564.
PAPER = ("rmsprop", 64, 313, 312 / 564 * 5e-7, 4.329e-5, (1024, 512))
# The scripts, --num 1: 32 steps of warm-up, then down to 0.
CODE = ("rmsprop", 64, 313, 5e-7, 7.825e-5, (1024, 512))
# INPO, section 4, and run_loop.sh: two epochs of 157 steps, 10 of them warm-up.
ICLR = ("adamw", 128, 314, 5e-7, 7.85e-5, (2048, 1000))

STATED = {
    "sppo-paper": Stated(MISTRAL, SNORKEL, PAIRRM, "pairwise", *SAMPLED, "best_worst", SppoConfig(eta=1000), *PAPER),
    "sppo-code": Stated(LLAMA, UCLA, PAIRRM, "official", 5, 0.7, 0.9, 2048, "best_worst", SppoConfig(eta=1000), *CODE),
    "sppo-estimate-k2": Stated(MISTRAL, SNORKEL, PAIRRM, "pairwise", *SAMPLED, "best_worst", SppoConfig(eta=1000), *PAPER),
    "sppo-baseline-dpo": Stated(MISTRAL, SNORKEL, PAIRRM, "pairwise", *SAMPLED, "best_worst", DpoConfig(beta=0.1), *PAPER),
    "sppo-baseline-ipo": Stated(MISTRAL, SNORKEL, PAIRRM, "pairwise", *SAMPLED, "best_worst", IpoConfig(tau=0.005), *PAPER),
    "kto-iterative": Stated(MISTRAL, SNORKEL, PAIRRM, "pairwise", *SAMPLED, "best_worst", KtoConfig(beta=0.1), *PAPER),
    "s-sppo": Stated(
        LLAMA, SNORKEL, PAIRRM, "pairwise", *SAMPLED, "best_worst", SppoConfig(eta=1000, similarity_gate=1), *PAPER
    ),
    "inpo-iclr": Stated(SFT, RLHFLOW, PAIR_LM, "pairwise", *EIGHT, "knockout", InpoConfig(eta=0.005), *ICLR),
    "inpo-no-kl": Stated(SFT, RLHFLOW, PAIR_LM, "pairwise", *EIGHT, "knockout", InpoConfig(eta=0.005, tau=0), *ICLR),
    "inpo-random-pair": Stated(SFT, RLHFLOW, PAIR_LM, "pairwise", 2, 1.0, 1.0, 2048, "random", InpoConfig(eta=0.005), *ICLR),
    "inpo-baseline-dpo": Stated(SFT, RLHFLOW, PAIR_LM, "pairwise", *EIGHT, "knockout", DpoConfig(beta=0.1), *ICLR),
    "inpo-baseline-sppo": Stated(SFT, RLHFLOW, PAIR_LM, "pairwise", *EIGHT, "best_worst", SppoConfig(eta=1000), *ICLR),
    "dpo-iterative": Stated(
        f"{SFT}-v2", RLHFLOW, REWARD, "pairwise", *EIGHT, "best_worst", DpoConfig(beta=0.1), *ICLR[:4], 7.875e-5, ICLR[5]
    ),
}


@pytest.mark.parametrize("name", STATED)
def test_it_comes_to_what_its_source_states(name: str) -> None:
    config = read_run_config(CONFIGS / f"{name}.toml")
    rates = learning_rates(config.training, 20_000)
    assert config.rounds == 3
    assert (
        Stated(
            config.policy.model,
            tuple((each.source.source, each.source.split) for each in config.prompts.training_sources()),
            (config.judge.engine or "", config.judge.model or ""),
            config.judge.estimator,
            config.sampling.k,
            config.sampling.temperature,
            config.sampling.top_p,
            config.sampling.max_tokens,
            config.selection.name,
            config.algorithm,
            config.training.optimizer,
            config.training.batch_size,
            len(rates),
            pytest.approx(max(rates)),  # pyright: ignore[reportArgumentType]
            pytest.approx(sum(rates), rel=1e-3),  # pyright: ignore[reportArgumentType]
            (config.training.max_length, config.training.max_prompt_length),
        )
        == STATED[name]
    )


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_it_is_read_under_its_own_name_and_names_its_judge(path: Path) -> None:
    config = read_run_config(path)
    assert (config.name, config.judge.model is None) == (path.stem, False)


def test_the_portions_of_sppo_come_to_its_steps() -> None:
    training = read_run_config(CONFIGS / "sppo-paper.toml").training
    assert [epoch_steps(training, prompts) for prompts in (19_766, 19_958, 19_996)] == [309, 312, 313]


def test_what_else_their_names_promise() -> None:
    assert read_run_config(CONFIGS / "sppo-estimate-k2.toml").judge.estimator_k == 2
    assert read_run_config(CONFIGS / "sppo-code.toml").judge.templated
    inpo = read_run_config(CONFIGS / "inpo-iclr.toml").algorithm
    assert isinstance(inpo, InpoConfig) and inpo.tau_value == 0.005 / 3
    for name in ("sppo-paper", "sppo-code"):
        evaluation = read_run_config(CONFIGS / f"{name}.toml").evaluation
        assert (evaluation.temperature, evaluation.top_p, evaluation.max_tokens) == (0.7, 0.9, 2048)


def test_comal_trains_and_evaluates_as_its_script_and_resets_its_reference() -> None:
    config = read_run_config(CONFIGS / "comal.toml")
    algorithm, evaluation = config.algorithm, config.evaluation
    assert (config.training.weight_decay, evaluation.temperature, evaluation.top_p) == (0.01, 0.7, 0.95)
    assert isinstance(algorithm, InpoConfig)
    assert (algorithm.eta, algorithm.tau_value) == (0.002, 0.002 / 3)
    assert [against(algorithm, number)["reference"] for number in (12, 13)] == [
        "version 0, the base",
        "version 12, reset after round 12",
    ]


def test_mnpo_has_the_means_and_the_shares_of_its_public_code() -> None:
    algorithm = read_run_config(CONFIGS / "mnpo.toml").algorithm
    assert isinstance(algorithm, MnpoConfig)
    assert (algorithm.eta, algorithm.logprobs) == (0.0075, "mean")
    assert [against(algorithm, number)["history"] for number in (1, 2, 3)] == [
        "0.333 of version 0, 0.333 of version 0, 0.333 of version 0",
        "0.333 of version 1, 0.333 of version 0, 0.333 of version 0",
        "0.333 of version 2, 0.333 of version 1, 0.333 of version 0",
    ]
