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
    # numpy's own seeding from a list pads with zeros: [2**32, 0] and [0, 1] would be one seed
    return torch.from_numpy(np.random.Generator(np.random.PCG64(_hashed(key, 16))).permutation(n))


def seed_of(purpose: str, seed: int) -> int:
    """A seed for torch that belongs to one purpose: equal seeds would give weights and noise the same numbers.

    Args:
        purpose: a word such as weights, noise, valid or test.
        seed: the run's.

    >>> seed_of("weights", 0) != seed_of("noise", 0)
    True
    """
    # torch's CPU generator keeps 32 bits of a seed: hashed, they are at least not the low ones alone
    return _hashed((purpose, seed), 4)


def generator(purpose: str, seed: int, device: torch.device | str = "cpu") -> torch.Generator:
    """The stream of random numbers that belongs to one purpose.

    Args:
        purpose: a word such as noise, valid or test.
        seed: the run's.
        device: where the numbers are drawn.

    >>> first, second = generator("noise", 0), generator("noise", 0)
    >>> torch.equal(torch.rand(3, generator=first), torch.rand(3, generator=second))
    True
    """
    return torch.Generator(device).manual_seed(seed_of(purpose, seed))


def numpy_generator(generator: torch.Generator | None = None) -> np.random.Generator:
    """A generator of NumPy's, seeded by the next number of torch's: for laws that torch cannot draw from a generator.

    Args:
        generator: on any device; None for torch's own of the CPU.
    """
    device = None if generator is None else generator.device
    return np.random.default_rng(int(torch.randint(2**62, (), generator=generator, device=device)))


def _hashed(key: tuple[int | str, ...], size: int) -> int:
    return int.from_bytes(blake2b(repr(key).encode(), digest_size=size).digest(), "little")
