"""DeBERTa's relative positions: near tokens are told apart one by one, far ones by the logarithm of their distance."""

import numpy as np
from numpy.typing import NDArray


def relative_buckets(length: int, buckets: int, max_position: int) -> NDArray[np.int64]:
    """Bucket of each distance i - j from -(length - 1) to length - 1 [2 * length - 1] (DeBERTa-v2's log buckets).

    Without buckets (`buckets` < 1) a distance is its own bucket. Computed in float32, as the models were trained with it.
    """
    distance = np.arange(-(length - 1), length, dtype=np.int64)
    if buckets < 1 or max_position < 1:
        return distance
    middle = buckets // 2
    # Below `middle` the logarithm is not used; any value there keeps it finite.
    far = np.maximum(np.abs(distance), middle).astype(np.float32) / np.float32(middle)
    span = np.log(np.float32((max_position - 1) / middle))
    logarithmic = np.ceil(np.log(far) / span * np.float32(middle - 1)) + middle
    return np.where(np.abs(distance) <= middle, distance, logarithmic * np.sign(distance)).astype(np.int64)


def relative_rows(length: int, buckets: int, max_position: int) -> NDArray[np.int64]:
    """Row of the table of relative embeddings for each distance i - j from -(length - 1) to length - 1 [2 * length - 1].

    Within 0 .. 2 * span - 1, where span is the number of buckets or, without them, of distances.
    """
    span = buckets if buckets > 0 else max_position
    return np.clip(relative_buckets(length, buckets, max_position) + span, 0, 2 * span - 1)
