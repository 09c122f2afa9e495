"""The products of the network, against torch's own and with literal values."""

import pytest
import torch
from torch.nn import functional

from sparring_judge.engines.pairrm.linear import Linear, product


def linear(weight: list[list[float]], bias: list[float]) -> Linear:
    layer = Linear(len(weight[0]), len(weight)).requires_grad_(False)
    layer.load_state_dict({"weight": torch.tensor(weight), "bias": torch.tensor(bias)})
    return layer


def test_packed_weights_give_what_plain_ones_give() -> None:
    torch.manual_seed(0)
    layer, x = Linear(40, 70).requires_grad_(False), torch.randn(2, 33, 40)
    wanted, wanted_gelu = functional.linear(x, layer.weight, layer.bias), functional.gelu(layer(x))
    layer.pack()
    assert torch.allclose(layer(x), wanted, atol=1e-5)
    assert torch.allclose(layer.gelu(x), wanted_gelu, atol=1e-5)


def test_int8_is_exact_where_nothing_is_rounded() -> None:
    # The rows' largest weights are 63 and 126, the inputs' 127 and 254: scales 1 and 2 on both sides.
    layer = linear([[63.0, -1.0], [2.0, 126.0]], [0.5, 0.0])
    layer.pack(int8=True)
    assert layer(torch.tensor([[127.0, 3.0], [-254.0, 2.0]])).tolist() == [[7998.5, 632.0], [-16003.5, -256.0]]


def test_int8_rounds_the_weights_row_by_row_to_63_steps() -> None:
    layer = linear([[63.0, 1.4], [6.3, 0.14]], [0.0, 0.0])
    layer.pack(int8=True)
    found = layer(torch.tensor([[0.0, 127.0]]))
    assert found.tolist()[0] == pytest.approx([127.0, 12.7])


def test_int8_does_not_saturate() -> None:
    layer = linear([[63.0] * 64], [0.0])
    layer.pack(int8=True)
    assert layer(torch.full((1, 64), 127.0)).item() == 63 * 127 * 64


@pytest.mark.parametrize("n", [1, 3])
def test_a_product_is_with_the_transposed(n: int) -> None:
    a, b = torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[3.0, 4.0], [5.0, 6.0], [0.0, 1.0]]])
    assert product(a.repeat(n, 1, 1), b.repeat(n, 1, 1)).tolist() == [[[11.0, 17.0, 2.0]]] * n
