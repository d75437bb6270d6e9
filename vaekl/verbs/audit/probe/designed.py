"""Inputs that are designed: all values alike but the few that are looked at."""

from dataclasses import dataclass, field, replace
from math import prod

import torch
from torch import Tensor

from vaekl.verbs.audit.probe.roles import OF_DATA, OF_LATENTS

#: x and x̂ everywhere else: a whole number that is also a probability, a value of a picture and a count
X, X_HAT = 1.0, 0.5


@dataclass(frozen=True)
class Sizes:
    """How large the inputs are.

    Args:
        batch: B.
        shape: S of x.
        latents: of z, (Z,) or of an image of latents.
        flat_output: whether x̂ is [B, N] beside an x of [B, *S].
        scalar_scale: whether a predicted scale is one number for all.
    """

    batch: int
    shape: tuple[int, ...]
    latents: tuple[int, ...]
    flat_output: bool = False
    scalar_scale: bool = False

    @property
    def values(self) -> int:
        """N."""
        return prod(self.shape)

    @property
    def codes(self) -> int:
        """Z."""
        return prod(self.latents)

    def of(self, role: str) -> tuple[int, ...]:
        """The shape of what has this role."""
        if role in OF_LATENTS:
            return (self.batch, *self.latents)
        if role == "x_scale" and self.scalar_scale:
            return ()
        if role == "x_hat" and self.flat_output:
            return (self.batch, self.values)
        assert role in OF_DATA
        return (self.batch, *self.shape)

    def words(self) -> str:
        """In words, as in "2 of 3×4×4 values, 4 latents"."""
        shape, latents = ("×".join(map(str, part)) for part in (self.shape, self.latents))
        return f"{self.batch} of {shape} values, {latents} latents"


@dataclass(frozen=True)
class Point:
    """Where a loss is evaluated: the values of every role, constant but for some places.

    Args:
        sizes: of the tensors.
        level: role -> the value everywhere.
        at: (role, image, place) -> the value there.
        dtype: of the tensors.
        filled: role -> values at every place, [B, N] or [B, Z], instead of the level.
    """

    sizes: Sizes
    level: dict[str, float]
    at: dict[tuple[str, int, int], float]
    dtype: torch.dtype = torch.float64
    filled: dict[str, Tensor] = field(default_factory=dict)

    def put(self, role: str, value: float, image: int = 0, place: int = 0) -> "Point":
        """The same with another value at one place."""
        return replace(self, at={**self.at, (role, image, place): value})

    def moved(self, role: str, value: float) -> "Point":
        """The same with another value at the first place of a role, or of one that is a single number."""
        return self.put(role, value) if self.sizes.of(role) else self.everywhere(role, value)

    def everywhere(self, role: str, value: float) -> "Point":
        """The same with another value wherever none was put."""
        return replace(self, level={**self.level, role: value})

    def resized(self, sizes: Sizes) -> "Point":
        """The same on other sizes."""
        return replace(self, sizes=sizes)

    def tensor(self, role: str) -> Tensor:
        """The values of a role."""
        shape = self.sizes.of(role)
        if role in self.filled:
            values = self.filled[role].to(self.dtype, copy=True).view(shape)
        else:
            values = torch.full(shape, self.level[role], dtype=self.dtype)
        for (name, image, place), value in self.at.items():
            if name == role and shape:
                values.view(shape[0], -1)[image, place] = value
        return values


def base(sizes: Sizes, dtype: torch.dtype = torch.float64) -> Point:
    """x̂ = ½ beside x = 1, and the parameters of q(z|x) at 0."""
    level = dict.fromkeys((*OF_DATA, *OF_LATENTS), 0.0)
    level |= {"x": X, "x_hat": X_HAT, "mask": 1.0, "theta": 2.0}
    return Point(sizes, level, {}, dtype)
