"""Disentangled attention in two forms of one function: `by_head` for a CPU, `at_once` for a GPU.

The score of query i and key j is the sum of content-content, content-position and position-content products
(DeBERTa, arXiv 2006.03654, eq. 4). The products with positions are computed for the P rows of the relative embeddings and
read from there: `index` is the row for each query and key. Queries come scaled.
Dimensions: B passes of S tokens, H heads of size d, R queries whose output is wanted.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from sparring_judge.engines.pairrm.linear import product

CACHED = 1 << 16
"""Scores computed at once on a CPU, so that the steps from product to product stay in its cache."""


Attend: TypeAlias = "Callable[[Tensor, Tensor, Tensor, Positions, Places], Tensor]"
"""One of the two forms."""


@dataclass(frozen=True)
class Positions:
    """Relative embeddings projected to keys and to scaled queries [H, P, d]; None for a product that the model does not use."""

    key: Tensor | None
    query: Tensor | None


@dataclass(frozen=True)
class Places:
    """`by_query` [B or 1, R, S] is the row of the relative embeddings for query i and key j; `by_key` [B or 1, S, R] the same.

    Keys from `lengths` [B] on are padding, which no query sees: `unseen` [B, 1, 1, S] is minus infinity there, else 0.
    """

    by_query: Tensor
    by_key: Tensor
    lengths: Sequence[int]
    unseen: Tensor

    def at(self, rows: Tensor) -> "Places":
        """The places of some queries alone, `rows` [B, R]."""
        passes = torch.arange(len(rows), device=rows.device)[:, None] if len(self.by_query) > 1 else 0
        by_query = self.by_query[passes, rows]
        return Places(by_query, by_query.mT.contiguous(), self.lengths, self.unseen)


def by_head(query: Tensor, key: Tensor, value: Tensor, positions: Positions, places: Places) -> Tensor:
    """Context [B, R, h] of queries [B, R, H, d] over keys and values [B, S, H, d], one head and a few passes at a time."""
    batch, rows, heads, size = query.shape
    step = 1 << max(1, CACHED // (rows * key.shape[1])).bit_length() - 1
    query, key, value = (x.permute(2, 0, 1, 3).contiguous() for x in (query, key, value))
    context = value.new_empty(batch, rows, heads, size)
    for head in range(heads):
        here = Positions(*(x if x is None else x[head] for x in (positions.key, positions.query)))
        for start in range(0, batch, step):
            part = slice(start, start + step)
            scores = _scores(query[head, part], key[head, part], here, places, part)
            torch.softmax(scores, -1, out=scores)
            context[part, :, head] = product(scores, value[head, part].mT)
    return context.flatten(2)


def _scores(query: Tensor, key: Tensor, positions: Positions, places: Places, part: slice) -> Tensor:
    """Scores [n, R, S] of one head: queries [n, R, d], keys [n, S, d]. Both reads from the tables run along their rows."""
    by_key = product(key, query)
    if positions.query is not None:
        by_key += _read(key, positions.query, places.by_key, part)
    scores = by_key.new_empty(len(query), query.shape[1], key.shape[1])
    for of_pass, transposed, length in zip(scores, by_key, places.lengths[part], strict=True):
        transposed[length:] = -math.inf
        of_pass.copy_(transposed.mT)
    if positions.key is not None:
        scores += _read(query, positions.key, places.by_query, part)
    return scores


def _read(x: Tensor, table: Tensor, index: Tensor, part: slice) -> Tensor:
    """For each row of x [n, A, d] its products with those rows of `table` [P, d] that `index` [n or 1, A, C] names."""
    products = product(x.flatten(0, 1)[None], table[None]).view(*x.shape[:2], len(table))
    index = index[part] if len(index) > 1 else index.expand(len(x), -1, -1)
    return products.gather(-1, index)


def at_once(query: Tensor, key: Tensor, value: Tensor, positions: Positions, places: Places) -> Tensor:
    """Context [B, R, h] of queries [B, R, H, d] over keys and values [B, S, H, d], all heads and passes together.

    The products with positions go as a bias to torch's fused attention, which stores no scores. `flex_attention` would not need
    the bias either, but only when compiled, for each length and on each machine anew.
    """
    query, key, value = (x.transpose(1, 2) for x in (query, key, value))
    batch, heads, rows, _ = query.shape
    bias = places.unseen.expand(batch, heads, rows, -1)
    if positions.key is not None:
        bias = bias + (query @ positions.key.mT).gather(-1, places.by_query[:, None].expand(batch, heads, -1, -1))
    if positions.query is not None:
        bias = bias + (key @ positions.query.mT).gather(-1, places.by_key[:, None].expand(batch, heads, -1, -1)).mT
    context = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias, scale=1.0)
    return context.transpose(1, 2).flatten(2)
