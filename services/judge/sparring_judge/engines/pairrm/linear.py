"""Matrix products: plain torch on a GPU; on a CPU oneDNN's own kernels, which use all of it where torch's default does not.

On processors that are not Intel's, torch's fp32 products (MKL) leave AVX-512 unused. oneDNN, which comes with torch, does not;
its linear layer is what `torch.compile` puts in place of ours as well.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

ONEDNN = torch.backends.mkldnn.is_available()
_INT8_LIMIT = 63
"""7 bits of weight: two products of it with 8 bits fit the 16-bit sums of processors without VNNI."""


class Linear(nn.Linear):
    """A linear layer; `pack` brings its weights into the form that the CPU computes with."""

    packed: Tensor | None = None
    scales: Tensor | None = None

    def pack(self, int8: bool = False) -> None:
        """Lay out the weights [out, in] for the CPU, as they are or, with `int8`, rounded row by row; they are not kept."""
        weight = self.weight.detach()
        if int8:
            self.scales = weight.abs().amax(1).clamp(min=1e-12) / _INT8_LIMIT
            self.packed = (weight / self.scales[:, None]).round().to(torch.int8).mT
        elif ONEDNN:
            self.packed = torch.ops.mkldnn._reorder_linear_weight(weight)
        else:
            return
        del self.weight

    def forward(self, input: Tensor) -> Tensor:
        """[..., in] -> [..., out]."""
        if self.packed is None:
            return super().forward(input)
        if self.scales is not None:
            return _int8_product(input, self.packed, self.scales).add_(self.bias)
        return _linear(input, self.packed, self.bias, "none")

    def gelu(self, input: Tensor) -> Tensor:
        """GELU of the output (the exact one), on a CPU in the same pass over memory."""
        if self.packed is None or self.scales is not None:
            return functional.gelu(self(input))
        return _linear(input, self.packed, self.bias, "gelu")


def product(a: Tensor, b: Tensor) -> Tensor:
    """a @ b.mT [n, M, N] of a [n, M, d] and b [n, N, d]."""
    if ONEDNN and a.device.type == "cpu" and len(a) == 1:
        return _linear(a[0], b[0], None, "none")[None]
    return a @ b.mT


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None, then: str) -> Tensor:
    return cast(Tensor, torch.ops.mkldnn._linear_pointwise(input, weight, bias, then, [], "none" if then == "gelu" else ""))


def _int8_product(input: Tensor, weight: Tensor, scales: Tensor) -> Tensor:
    """`input` is rounded to 8 bits row by row, so that no row depends on its neighbours."""
    rows = input.flatten(0, -2)
    size = rows.abs().amax(1, keepdim=True).clamp_(min=1e-12) / 127
    sums = cast(Tensor, torch.ops.aten._int_mm((rows / size).round_().to(torch.int8), weight))
    return sums.float().mul_(size).mul_(scales).unflatten(0, input.shape[:-1])
