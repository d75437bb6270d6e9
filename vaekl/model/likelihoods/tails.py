"""Logarithms of masses that keep their digits far in the tails."""

from math import pi, sqrt
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from vaekl.model.mapped import applied


class _LogNdtr(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        ctx.save_for_backward(z)
        result: Tensor = torch.special.log_ndtr(z)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        # torch's own gradient loses its digits from z ≈ −1e5 on and is infinite at −1e10
        (z,) = ctx.saved_tensors
        slope: Tensor = sqrt(2 / pi) / torch.special.erfcx(-z / sqrt(2))
        return grad * slope


def log_ndtr(z: Tensor) -> Tensor:
    """ln Φ(z) of any shape, Φ the standard normal's distribution function; its gradient is accurate far in the tail."""
    result: Tensor = applied(_LogNdtr, z)
    return result


def log1mexp(x: Tensor) -> Tensor:
    """ln(1 − eˣ) for x < 0, of any shape; finite also where x, a difference of two large numbers, is rounded to 0."""
    return torch.log(-torch.expm1(x.clamp(max=-1e-300)))
