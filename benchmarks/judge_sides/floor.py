"""The work that a pass cannot do without."""

POSITIONS = 512
"""Rows of PairRM's relative embeddings."""


def pass_flops(tokens: int, layers: int, hidden: int) -> int:
    """FLOPs (two per multiply-add) of one pass: all layers, but of the last only keys and values, as three rows are read there.

    Per layer: the linear layers 24 h^2 S, queries with keys and weights with values 4 S^2 h, both products with positions
    4 S P h. Left out: the three rows themselves, the position projections (once per model), all that is not a matrix product.
    """
    layer = 24 * hidden**2 * tokens + 4 * tokens**2 * hidden + 4 * tokens * POSITIONS * hidden
    last = 4 * hidden**2 * tokens + 2 * tokens * POSITIONS * hidden
    return (layers - 1) * layer + last
