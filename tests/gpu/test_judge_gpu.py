"""The network on an NVIDIA GPU against itself on the CPU in fp32; run it with `pytest tests/gpu`."""

import pytest
import torch
from skips import Skip, because
from transformers import DebertaV2Config, DebertaV2Model

from sparring_judge.engines.pairrm.checkpoint import EncoderConfig
from sparring_judge.engines.pairrm.encoder import PairRmNetwork
from sparring_judge.engines.pairrm.network import build_network
from sparring_judge.engines.pairrm.passes import Pass
from sparring_judge.settings import Precision
from sparring_shared.errors import InvalidInput

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason=because(Skip.NO_GPU, "torch finds no CUDA device"))

HIDDEN, VOCABULARY = 256, 1000
BOUNDS: dict[Precision, float] = {"fp32": 1e-4, "fp16": 6e-3, "bf16": 6e-2}
"""Largest difference of a logit to fp32 on the CPU; the logits below have a standard deviation of 0.5."""


def judge(device: str, precision: Precision | None) -> PairRmNetwork:
    """A random judge of six layers, the same each time."""
    torch.manual_seed(0)
    config = DebertaV2Config.from_dict(
        {
            "vocab_size": VOCABULARY,
            "hidden_size": HIDDEN,
            "num_hidden_layers": 6,
            "num_attention_heads": 4,
            "intermediate_size": 4 * HIDDEN,
            "relative_attention": True,
            "position_buckets": 256,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_biased_input": False,
            "type_vocab_size": 0,
            "initializer_range": 0.05,
        }
    )
    weights = {f"pretrained_model.{name}": tensor for name, tensor in DebertaV2Model(config).state_dict().items()}
    weights |= {"head_layer.1.weight": torch.randn(HIDDEN, 2 * HIDDEN) * 0.05, "head_layer.1.bias": torch.zeros(HIDDEN)}
    weights |= {"head_layer.4.weight": torch.randn(1, HIDDEN) * 0.05, "head_layer.4.bias": torch.zeros(1)}
    return build_network(EncoderConfig.model_validate(config.to_dict()), weights, device, threads=4, precision=precision)


def some_passes() -> list[Pass]:
    """Passes of 13 to 1,500 tokens, some of one length."""
    random = torch.Generator().manual_seed(1)
    lengths = [13, 120, 120, 121, 700, 64, 1500, 333, 334, 120]
    ids = [tuple(torch.randint(0, VOCABULARY, (length,), generator=random).tolist()) for length in lengths]
    return [Pass(one, (1, len(one) // 3, 2 * len(one) // 3)) for one in ids]


@pytest.mark.parametrize("precision", BOUNDS)
def test_the_logits_are_those_of_the_cpu(precision: Precision) -> None:
    wanted = judge("cpu", "fp32").logits(some_passes())
    found = judge("cuda", precision).logits(some_passes())
    assert found == pytest.approx(wanted, abs=BOUNDS[precision])


def test_a_pass_has_the_same_logit_alone_and_among_others() -> None:
    network = judge("cuda", "fp32")
    together = network.logits(some_passes())
    assert [network.logits([one])[0] for one in some_passes()] == pytest.approx(together, abs=1e-4)


def test_a_gpu_computes_in_bf16_unless_told_otherwise() -> None:
    assert judge("cuda", None).words.weight.dtype == torch.bfloat16


def test_int8_is_for_cpus() -> None:
    with pytest.raises(InvalidInput, match="computes in bf16, fp16, fp32 on cuda, not in int8"):
        judge("cuda", "int8")
