"""Our forward pass against transformers' DebertaV2Model, on random weights of several shapes."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from transformers import DebertaV2Config, DebertaV2Model
from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position

from sparring_judge.engines.models.devices import number_format
from sparring_judge.engines.pairrm import network as building
from sparring_judge.engines.pairrm.attention import at_once
from sparring_judge.engines.pairrm.encoder import PairRmNetwork
from sparring_judge.engines.pairrm.encoder_config import EncoderConfig
from sparring_judge.engines.pairrm.network import build_network, precision_on
from sparring_judge.engines.pairrm.passes import Pass
from sparring_judge.engines.pairrm.relative_positions import relative_buckets
from sparring_judge.precision import Precision
from sparring_shared.errors import CheckpointMismatch, InvalidInput

SHAPE: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "relative_attention": True,
    "position_buckets": 16,
    "max_position_embeddings": 64,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "type_vocab_size": 0,
    "initializer_range": 0.3,
}


def reference(**changes: Any) -> tuple[DebertaV2Model, dict[str, torch.Tensor], EncoderConfig]:
    torch.manual_seed(1)
    config = DebertaV2Config(**{**SHAPE, **changes})
    model = DebertaV2Model(config).eval()
    for weight in model.parameters():
        weight.data.add_(torch.randn_like(weight) * 0.1)
    head = {"head_layer.1.weight": torch.randn(32, 64), "head_layer.1.bias": torch.randn(32)}
    head |= {"head_layer.4.weight": torch.randn(1, 32) * 0.1, "head_layer.4.bias": torch.randn(1)}
    weights = {f"pretrained_model.{name}": tensor.detach() for name, tensor in model.state_dict().items()}
    return model, weights | head, EncoderConfig.model_validate(config.to_dict())


def ours(weights: dict[str, torch.Tensor], config: EncoderConfig, precision: Precision = "fp32") -> PairRmNetwork:
    return build_network(config, weights, device="cpu", threads=1, precision=precision)


def passes(*lengths: int) -> list[Pass]:
    random = torch.Generator().manual_seed(3)
    ids = [tuple(torch.randint(0, 50, (length,), generator=random).tolist()) for length in lengths]
    return [Pass(one, (1, len(one) // 3, len(one) // 2)) for one in ids]


VARIANTS: list[dict[str, Any]] = [
    {},
    {"share_att_key": False},
    {"pos_att_type": ["c2p"]},
    {"pos_att_type": ["p2c"], "share_att_key": False},
    {"norm_rel_ebd": "none"},
    {"position_buckets": -1},
    {"num_hidden_layers": 1, "position_buckets": 32, "max_position_embeddings": 512},
]


@pytest.mark.parametrize("length", [90, 300])  # several passes of a head at once, and one
@pytest.mark.parametrize("changes", VARIANTS)
def test_hidden_states_are_those_of_transformers(changes: dict[str, Any], length: int) -> None:
    model, weights, config = reference(**changes)
    ids = torch.randint(0, 50, (2, length), generator=torch.Generator().manual_seed(2))
    rows = torch.tensor([[1, 30, 89], [0, 45, 60]])
    with torch.inference_mode():
        wanted = model(input_ids=ids).last_hidden_state
        found = ours(weights, config).encode(ids, rows, [length] * 2)
    assert torch.allclose(found[0], wanted[0, [1, 30, 89]], atol=1e-5)
    assert torch.allclose(found[1], wanted[1, [0, 45, 60]], atol=1e-5)


def test_the_logit_is_the_difference_of_the_heads() -> None:
    model, weights, config = reference()
    ids = tuple(range(5, 30))
    with torch.inference_mode():
        hidden = model(input_ids=torch.tensor([ids])).last_hidden_state[0]
    head = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Linear(64, 32), torch.nn.Tanh(), torch.nn.Dropout())
    head = head.append(torch.nn.Linear(32, 1)).eval()
    head.load_state_dict({name.removeprefix("head_layer."): weights[name] for name in weights if name.startswith("head")})
    first, second = (head(torch.cat((hidden[1], hidden[at]))).item() for at in (9, 17))
    found = ours(weights, config).logits([Pass(ids, (1, 9, 17)), Pass(ids, (1, 17, 9)), Pass(ids[:12], (1, 5, 9))])
    assert found[0] == pytest.approx(first - second, abs=1e-5)
    assert found[1] == pytest.approx(second - first, abs=1e-5)


@pytest.mark.parametrize("changes", VARIANTS)
def test_all_heads_and_lengths_at_once_give_the_same_logits(changes: dict[str, Any]) -> None:
    # What a GPU computes, on the CPU: lengths that are and are not a multiple of 8, among neighbours and alone.
    _, weights, config = reference(**changes)
    network, some = ours(weights, config), passes(40, 9, 33, 40, 90, 12)
    wanted = network.logits(some)
    assert network.padded_tokens == (40 - 40) + (16 - 9) + (40 - 33) + (40 - 40) + (96 - 90) + (16 - 12)
    network.attend, network.padded_tokens = at_once, 0
    assert network.logits(some) == pytest.approx(wanted, abs=1e-5)
    assert network.padded_tokens == 6 * 96 - (40 + 9 + 33 + 40 + 90 + 12)
    assert [network.logits([one])[0] for one in some] == pytest.approx(wanted, abs=1e-5)


def test_logits_come_in_the_order_of_the_passes_and_do_not_depend_on_neighbours() -> None:
    network, some = ours(*reference()[1:]), passes(300, 20, 300, 20, 21, 300)
    together = network.logits(some)
    assert together == pytest.approx([network.logits([one])[0] for one in some], abs=1e-5)
    assert len({round(logit, 3) for logit in together}) == 6
    assert network.logits([]) == []


def test_int8_says_how_far_off_it_is() -> None:
    _, weights, config = reference(initializer_range=0.1)
    exact, rounded = ours(weights, config), ours(weights, config, "int8")
    some = passes(20, 50, 50)
    assert exact.int8_error is None
    assert rounded.int8_error is not None and 1e-4 < rounded.int8_error < 0.5
    differences = [abs(a - b) for a, b in zip(exact.logits(some), rounded.logits(some), strict=True)]
    assert 1e-4 < max(differences) < 0.5
    assert rounded.logits(some) == pytest.approx([rounded.logits([one])[0] for one in some], abs=1e-5)


def test_a_precision_that_a_cpu_does_not_compute_in_is_refused() -> None:
    _, weights, config = reference()
    with pytest.raises(InvalidInput, match="computes in fp32, int8 on cpu, not in bf16; set one of them"):
        ours(weights, config, "bf16")


def test_a_gpu_computes_as_llm_blender_does_and_language_models_in_the_format_of_their_training() -> None:
    devices = [torch.device(name) for name in ("cpu", "cuda:1", "mps")]
    assert [precision_on(device, None) for device in devices] == ["fp32", "fp16", "fp16"]
    assert [number_format(None, device) for device in devices] == [torch.float32, torch.bfloat16, torch.bfloat16]
    assert precision_on(devices[1], "bf16") == "bf16"
    with pytest.raises(InvalidInput, match="computes in fp16, bf16, fp32 on cuda:1, not in int8; set one of them"):
        precision_on(devices[1], "int8")


def test_what_overflows_in_fp16_leaves_its_neighbours_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    # As on a GPU: not packed for a CPU, in the precision that is wanted.
    monkeypatch.setattr(building, "_pack", lambda *_, **__: None)
    monkeypatch.setattr(building, "precision_on", lambda _, wanted: wanted)
    _, weights, config = reference(initializer_range=0.1)
    weights["pretrained_model.embeddings.word_embeddings.weight"][49, 0] = 1e5
    wide, narrow = ours(weights, config, "fp32"), ours(weights, config, "fp16")
    wide.attend = narrow.attend = at_once
    some = [Pass((*range(20), last, *range(20, 40)), (1, 10, 30)) for last in (48, 49, 47)]
    wanted, found = wide.logits(some), narrow.logits(some)
    assert all(map(math.isfinite, wanted))
    assert math.isnan(found[1])
    assert found[::2] == pytest.approx(wanted[::2], abs=1e-2)


@pytest.mark.parametrize(("buckets", "largest"), [(256, 512), (32, 512), (16, 64), (8, 2048)])
def test_buckets_are_those_of_transformers(buckets: int, largest: int) -> None:
    distances = torch.arange(-2047, 2048)
    wanted = make_log_bucket_position(distances, buckets, largest).long().numpy()
    np.testing.assert_array_equal(relative_buckets(2048, buckets, largest), wanted)


def test_weights_that_do_not_fit_are_refused_by_name() -> None:
    _, weights, config = reference()
    del weights["pretrained_model.encoder.layer.2.attention.self.key_proj.bias"]
    with pytest.raises(CheckpointMismatch, match=r"layers\.2\.attention\.key_proj\.bias \(1 in all\)"):
        ours(weights, config)


def test_the_real_config_is_understood() -> None:
    real = {
        "hidden_act": "gelu",
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "max_position_embeddings": 512,
        "relative_attention": True,
        "position_buckets": 256,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "pos_att_type": "p2c|c2p",
        "layer_norm_eps": 1e-7,
        "max_relative_positions": -1,
        "position_biased_input": False,
        "num_attention_heads": 16,
        "num_hidden_layers": 24,
        "type_vocab_size": 0,
    }
    config = EncoderConfig.model_validate(real)
    assert (config.pos_att_type, config.max_position, config.position_rows) == (("p2c", "c2p"), 512, 512)
