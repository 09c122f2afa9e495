"""The judge's network in 16 bits on a device against itself in fp32 on the CPU."""

import pytest
import torch
from gpu_points.random_judge import encoder_config, random_judge, random_passes, random_weights

from sparring_judge.engines.pairrm.encoder import PairRmNetwork
from sparring_judge.engines.pairrm.network import build_network
from sparring_judge.precision import Precision
from sparring_shared.errors import InvalidInput

CONFIG, VOCABULARY = encoder_config(layers=6, hidden=64, heads=4), 1000
LENGTHS = [13, 120, 120, 121, 300, 64, 333, 334, 120]
BOUNDS: dict[Precision, float] = {"fp32": 1e-4, "fp16": 2e-3, "bf16": 2e-2}
"""Largest difference of a logit to fp32 on the CPU; the logits below have a standard deviation of 0.28."""
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def judge(device: str, precision: str) -> PairRmNetwork:
    """A random judge, the same each time, with the attention of a GPU wherever it computes."""
    return random_judge(CONFIG, random_weights(CONFIG, VOCABULARY, "cpu"), device, DTYPES[precision])


def loaded(device: str, precision: Precision | None) -> PairRmNetwork:
    """The same as the service loads it."""
    return build_network(CONFIG, random_weights(CONFIG, VOCABULARY, "cpu"), device, threads=1, precision=precision)


@pytest.mark.parametrize("precision", BOUNDS)
def test_the_logits_are_those_of_fp32_on_the_cpu(device: str, precision: Precision) -> None:
    passes = random_passes(LENGTHS, VOCABULARY)
    wanted = loaded("cpu", "fp32").logits(passes)
    assert torch.tensor(wanted).std() > 0.2
    assert judge(device, precision).logits(passes) == pytest.approx(wanted, abs=BOUNDS[precision])
    if device == "cuda" or precision == "fp32":
        assert loaded(device, precision).logits(passes) == pytest.approx(wanted, abs=BOUNDS[precision])


def test_a_pass_has_the_same_logit_alone_and_among_others(device: str) -> None:
    network, passes = judge(device, "fp32"), random_passes(LENGTHS, VOCABULARY)
    assert [network.logits([one])[0] for one in passes] == pytest.approx(network.logits(passes), abs=1e-4)


def test_a_gpu_computes_in_16_bits_and_a_cpu_in_32_unless_told_otherwise(device: str) -> None:
    assert loaded(device, None).words.weight.dtype.itemsize == (2 if device == "cuda" else 4)


def test_int8_is_for_cpus(device: str) -> None:
    if device == "cpu":
        assert loaded(device, "int8").int8_error is not None
    else:
        with pytest.raises(InvalidInput, match="not in int8"):
            loaded(device, "int8")
