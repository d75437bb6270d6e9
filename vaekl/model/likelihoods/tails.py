"""Logarithms of masses that keep their digits far in the tails."""

from math import pi, sqrt
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from vaekl.model.mapped import applied


class _LogNdtr(torch.autograd.Function):
    """ln Φ and its slope from one erfcx each: Φ(−|z|) = ½ exp(−z²/2) erfcx(|z|/√2)."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        # torch's own gradient loses its digits from z ≈ −1e5 on and is infinite at −1e10
        below, half = z < 0, 0.5 * z.square()
        scaled: Tensor = torch.special.erfcx(z.abs().mul_(sqrt(0.5)))
        density = half.neg().exp_()
        tail = (density * scaled).mul_(0.5)
        ctx.save_for_backward(torch.where(below, sqrt(2 / pi) / scaled, density.mul_(sqrt(0.5 / pi)).div_(1 - tail)))
        return torch.where(below, scaled.mul_(0.5).log_().sub_(half), tail.neg_().log1p_())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        slope: Tensor = ctx.saved_tensors[0]
        return grad * slope


def log_ndtr(z: Tensor) -> Tensor:
    """ln Φ(z) of any shape, Φ the standard normal's distribution function; its gradient is accurate far in the tail."""
    result: Tensor = applied(_LogNdtr, z)
    return result


def log1mexp(x: Tensor) -> Tensor:
    """ln(1 − eˣ) for x < 0, of any shape; finite also where x, a difference of two large numbers, is rounded to 0."""
    return torch.log(-torch.expm1(x.clamp(max=-1e-300)))
