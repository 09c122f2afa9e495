"""A judge with random weights, and passes of random ids; the same function on a GPU and on a CPU."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from sparring_judge.engines.models.devices import set_up_torch
from sparring_judge.engines.pairrm.attention import at_once
from sparring_judge.engines.pairrm.encoder import PairRmNetwork
from sparring_judge.engines.pairrm.encoder_config import EncoderConfig
from sparring_judge.engines.pairrm.passes import Pass

VOCABULARY = 128_005
SPREAD = 0.05
"""Standard deviation of the weights: attention is as uneven as a trained model's."""


def encoder_config(layers: int, hidden: int, heads: int) -> EncoderConfig:
    """The config of a DeBERTa-v3 of that size, with PairRM's positions."""
    return EncoderConfig(
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * hidden,
        position_buckets=256,
        pos_att_type=("p2c", "c2p"),
        share_att_key=True,
        norm_rel_ebd="layer_norm",
        relative_attention=True,
        position_biased_input=False,
    )


def random_weights(config: EncoderConfig, vocabulary: int, device: str, seed: int = 0) -> dict[str, Tensor]:
    """The weights of a network in fp32 by their names, drawn on the device."""
    with torch.device("meta"):
        network = PairRmNetwork(config, vocabulary, 1)
    network.to_empty(device=device)
    network.requires_grad_(False)
    draw = torch.Generator(device).manual_seed(seed)
    for module in network.modules():
        for name, weight in module.named_parameters(recurse=False):
            weight.normal_(0, SPREAD, generator=draw)
            if isinstance(module, nn.LayerNorm) and name == "weight":
                weight.add_(1)
    return network.state_dict()


def random_judge(config: EncoderConfig, weights: Mapping[str, Tensor], device: str, dtype: torch.dtype) -> PairRmNetwork:
    """A network that computes in `dtype` on the device with the attention of a GPU; the weights stay as they are."""
    with torch.device("meta"):
        network = PairRmNetwork(config, len(weights["words.weight"]), 1)
    network.load_state_dict(weights, assign=True)
    network.requires_grad_(False).eval().to(set_up_torch(device, torch.get_num_threads()))
    network.fix(dtype)
    network.attend = at_once
    return network


def random_passes(lengths: list[int], vocabulary: int, seed: int = 1) -> list[Pass]:
    """Passes of those lengths, their tags a third apart."""
    draw = torch.Generator().manual_seed(seed)
    ids = [tuple(torch.randint(0, vocabulary, (length,), generator=draw).tolist()) for length in lengths]
    return [Pass(one, (1, len(one) // 3, 2 * len(one) // 3)) for one in ids]
