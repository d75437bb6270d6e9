"""Random numbers that belong to a row, whatever is beside it in a batch.

The numbers of a row are SplitMix64 of a hash of the row, the seed, and a counter: no state is carried from one row to
the next, and a batch of any size has them all at once.

Source: Steele, Lea, Flood 2014 (SplitMix64); Box, Muller 1958.
"""

from collections.abc import Sequence
from math import pi, prod
from typing import Self

import torch
from torch import Tensor

#: numbers of SplitMix64, as signed 64-bit integers: the step of its counter, and what its mixing multiplies by
_STEP = 0x9E3779B97F4A7C15 - 2**64
_FACTORS = (0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64)


class RowNoise(torch.Generator):
    """A generator whose numbers for a row are a function of the row as stored, the seed and how many came before.

    Equal rows have equal noise. Code that hands it to PyTorch's own functions, such as a transform of one's own, gets
    the numbers of an ordinary generator, which belong to a row's place.

    Args:
        seed: equal seeds give equal rows equal noise.
        device: where the numbers are drawn.
    """

    def __new__(cls, seed: int, device: torch.device | str = "cpu") -> Self:
        return super().__new__(cls, device)  # type: ignore[call-arg]

    def __init__(self, seed: int, device: torch.device | str = "cpu") -> None:
        self.manual_seed(seed)
        self._keys = torch.zeros(0, dtype=torch.int64)
        self._draws = 0

    def of_rows(self, stored: Tensor) -> None:
        """Begin the noise of these rows.

        Args:
            stored: [B, *S], as stored, on the generator's device.
        """
        self._keys = _mixed(_hashes(stored) + _signed(self.initial_seed() * _STEP))
        self._draws = 0

    def uniform(self, shape: torch.Size) -> Tensor:
        """Numbers in [0, 1), float32, of a shape that begins with the number of rows."""
        return _shifted(self._next(prod(shape[1:])), 40).float().mul_(2.0**-24).view(shape)

    def normal(self, shape: torch.Size) -> Tensor:
        """Standard normal numbers, float32, of a shape that begins with the number of rows."""
        needed = prod(shape[1:])
        pairs = self._next((needed + 1) // 2)
        radius = _shifted(pairs, 32).float().add_(0.5).mul_(2.0**-32).log_().mul_(-2).sqrt_()
        angle = (pairs & 0xFFFFFFFF).float().mul_(2 * pi * 2.0**-32)
        both = torch.cat([radius * angle.cos(), radius * angle.sin()], 1)
        return both[:, :needed].reshape(shape)

    def _next(self, count: int) -> Tensor:
        """So many 64-bit numbers of each row, [B, count]."""
        self._draws += 1
        begin = _mixed(self._keys + _signed(self._draws * _STEP))
        return _mixed(begin[:, None] + torch.arange(1, count + 1, device=begin.device) * _STEP)


class JointNoise(torch.Generator):
    """The generators of several runs of which each has equally many rows of a batch, one run's after the other's.

    `uniform` alone draws from them: no transform that takes other random numbers may be given it (`row_by_row`).

    Args:
        generators: the runs'; each gives what it would give for its rows by themselves.
    """

    def __new__(cls, generators: Sequence[torch.Generator]) -> Self:
        return super().__new__(cls)

    def __init__(self, generators: Sequence[torch.Generator]) -> None:
        self._generators = generators

    def uniform(self, shape: torch.Size) -> Tensor:
        """Numbers in [0, 1), float32, of a shape that begins with the number of rows."""
        numbers = torch.empty(shape, device=self._generators[0].device)
        for rows, generator in zip(numbers.chunk(len(self._generators)), self._generators, strict=True):
            rows.uniform_(generator=generator)
        return numbers


def uniform(shape: torch.Size, generator: torch.Generator | None, device: torch.device) -> Tensor:
    """Numbers in [0, 1), float32: of each row's own where the generator is a `RowNoise` or a `JointNoise`.

    Args:
        shape: [B, ...].
        generator: None for torch's own.
        device: where they are wanted, the generator's.
    """
    if isinstance(generator, RowNoise | JointNoise):
        return generator.uniform(shape)
    return torch.rand(shape, generator=generator, device=device)


def normal(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Standard normal numbers, float32, on the generator's device: of each row's own where it is a `RowNoise`.

    Args:
        shape: [B, ...].
        generator: of the numbers.
    """
    if isinstance(generator, RowNoise):
        return generator.normal(shape)
    return torch.randn(shape, generator=generator, device=generator.device)


def _hashes(stored: Tensor) -> Tensor:
    """A 64-bit number of each row [B, *S], [B]: equal for equal values, of NaN and the zeros as well."""
    values = stored.flatten(1)
    if values.is_floating_point():
        values = values.float().nan_to_num(torch.nan, torch.inf, -torch.inf).add(0.0).view(torch.int32)
    # one odd factor for each place: rows that differ anywhere, or in their order, have different sums
    factors = _mixed(torch.arange(1, values.shape[1] + 1, device=values.device) * _STEP) | 1
    return (values.long() * factors).sum(1)


def _signed(number: int) -> int:
    """A whole number as 64 bits hold it, with a sign."""
    return (number + 2**63) % 2**64 - 2**63


def _shifted(numbers: Tensor, bits: int) -> Tensor:
    """numbers >> bits as of unsigned numbers."""
    return (numbers >> bits).bitwise_and_((1 << (64 - bits)) - 1)


def _mixed(numbers: Tensor) -> Tensor:
    """SplitMix64's mixing of each number, int64."""
    numbers = (numbers ^ _shifted(numbers, 30)).mul_(_FACTORS[0])
    numbers = (numbers ^ _shifted(numbers, 27)).mul_(_FACTORS[1])
    return numbers ^ _shifted(numbers, 31)
