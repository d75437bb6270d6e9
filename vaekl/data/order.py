"""Random orders that are pure functions of whole numbers, so that a run can be resumed or repeated exactly."""

from hashlib import blake2b

import numpy as np
import torch
from torch import Tensor


def shuffled(n: int, *key: int | str) -> Tensor:
    """The permutation of 0..n−1 that belongs to `key`; another key gives an unrelated one.

    Args:
        n: how many indices.
        key: whole numbers of any size or sign, and words.

    Returns:
        int64 [n], on the CPU.

    >>> shuffled(5, "test", 0).sort().values.tolist()
    [0, 1, 2, 3, 4]
    """
    # Hashed, because numpy's own seeding from a list pads with zeros ([2**32, 0] and [0, 1] would be one seed),
    # and torch's CPU generator keeps only 32 bits.
    seed = int.from_bytes(blake2b(repr(key).encode(), digest_size=16).digest(), "little")
    return torch.from_numpy(np.random.Generator(np.random.PCG64(seed)).permutation(n))
