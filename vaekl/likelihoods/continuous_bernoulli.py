"""The continuous Bernoulli's functions of its logit a, accurate to a few ulp for every a.

The closed forms subtract numbers that agree to many digits near a = 0 and overflow far from it, so

- near 0 everything is written with the entire function S(u²) = (sinh u − u)/u³, whose series has no signs to cancel;
- elsewhere everything is written with e^−|a|, which never overflows.

PyTorch's own `ContinuousBernoulli` has neither: in float32 its gradient is zero from |a| ≈ 16.
"""

from math import factorial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# 1/3!, 1/5!, ...: eight terms reach 1e-8 relative at u = 2, and float64's last digits take fourteen
_SINH_SERIES = [1 / factorial(2 * k + 3) for k in range(14)]
_MEAN_SERIES = [(2 * k + 2) / factorial(2 * k + 3) for k in range(14)]
_NEAR = 2.0
_TINY = 1e-20


def _series(coefficients: list[float], square: Tensor) -> Tensor:
    terms = 8 if square.dtype == torch.float32 else len(coefficients)
    total = torch.full_like(square, coefficients[terms - 1])
    for coefficient in reversed(coefficients[: terms - 1]):
        total = total * square + coefficient
    return total


class _LogNormConst(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor) -> Tensor:
        ctx.save_for_backward(a)
        b = a.abs().clamp(min=_TINY)
        return torch.log(b / torch.tanh(b / 2))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (a,) = ctx.saved_tensors
        return grad * log_norm_const_slope(a)


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor) -> Tensor:
        ctx.save_for_backward(a)
        u = a.abs().clamp(max=2 * _NEAR) / 2
        square = u * u
        near = 0.5 + 0.5 * a.sign() * u * _series(_MEAN_SERIES, square) / (1 + square * _series(_SINH_SERIES, square))
        b = a.abs().clamp(min=2 * _NEAR)
        from_end = 1 / b + torch.exp(-b) / torch.expm1(-b)
        return torch.where(a.abs() < 2 * _NEAR, near, torch.where(a < 0, from_end, 1 - from_end))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (a,) = ctx.saved_tensors
        return grad * variance(a)


class _LogMass(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
        ctx.save_for_backward(a, lower, upper)
        b, width = a.abs().clamp(min=_TINY), upper - lower
        # from the end where the mass sits, nothing large is subtracted
        distance = torch.where(a < 0, lower, 1 - upper)
        return torch.log(torch.expm1(-b * width) / torch.expm1(-b)) - b * distance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        # in an exponential family: the mean of x in the bin less the mean of x
        a, lower, upper = ctx.saved_tensors
        width = upper - lower
        return grad * (lower + width * mean(a * width) - mean(a)), None, None


class _LogProb(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(a, x)
        minus_b = a.abs().clamp_(min=_TINY).neg_()
        # a x − max(a, 0) as one product, which a large logit cannot cancel; −ln((1 − e^−b)/b) never overflows
        step = a.sign().clamp_(min=0)
        product = torch.sub(x, step, out=step).mul_(a)
        return product.sub_(torch.expm1(minus_b).div_(minus_b).log_())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        a, x = ctx.saved_tensors
        # only what somebody asked for: no one differentiates the data in training
        to_a = grad * (x - mean(a)) if ctx.needs_input_grad[0] else None
        return to_a, grad * a if ctx.needs_input_grad[1] else None


def log_prob(a: Tensor, x: Tensor) -> Tensor:
    """ln p(x) = a x − ln((e^a − 1)/a) in one pass, equal to the sum of energy and constant; nats, shapes as given."""
    result: Tensor = _LogProb.apply(a, x)
    return result


def log_norm_const(a: Tensor) -> Tensor:
    """ln C(a) = ln(a / tanh(a/2)) = ln a − ln(1 − e^−a) + ln(1 + e^−a), at least ln 2; nats, any shape."""
    result: Tensor = _LogNormConst.apply(a)
    return result


def log_norm_const_slope(a: Tensor) -> Tensor:
    """d ln C/da = 1/a − 1/sinh(a), which near 0 is a S/(1 + a² S)."""
    near = a.clamp(-_NEAR, _NEAR)
    scaled = near * _series(_SINH_SERIES, near * near)
    b = a.abs().clamp(min=_NEAR)
    far = a.sign() * (1 / b + 2 * torch.exp(-b) / torch.expm1(-2 * b))
    return torch.where(a.abs() < _NEAR, scaled / (1 + near * scaled), far)


def mean(a: Tensor) -> Tensor:
    """E[x] = 1/(1 − e^−a) − 1/a, in (0, 1); any shape."""
    result: Tensor = _Mean.apply(a)
    return result


def variance(a: Tensor) -> Tensor:
    """Var[x] = dE[x]/da = 1/a² − 1/(4 sinh²(a/2)), which near 0 is ¼ S (2 + u² S)/(1 + u² S)² with u = a/2."""
    u = a.abs().clamp(max=2 * _NEAR) / 2
    series = _series(_SINH_SERIES, u * u)
    rest = u * u * series
    near = 0.25 * series * (2 + rest) / (1 + rest).square()
    b = a.abs().clamp(min=2 * _NEAR)
    far = 1 / (b * b) - torch.exp(-b) / torch.expm1(-b).square()
    return torch.where(a.abs() < 2 * _NEAR, near, far)


def log_mass(a: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """ln[(e^{a·upper} − e^{a·lower})/(e^a − 1)], the edges clipped to [0, 1]; nats, all broadcast."""
    result: Tensor = _LogMass.apply(*torch.broadcast_tensors(a, lower.clamp(0, 1), upper.clamp(0, 1)))
    return result


def quantile(a: Tensor, u: Tensor) -> Tensor:
    """The x with P(X ≤ x) = u: ln(1 + u (e^a − 1))/a for u in [0, 1)."""
    b = a.abs().clamp(min=_TINY)
    # the mass sits at 0 (a < 0) or at 1: the distance from there is what the logarithm gives exactly, but for u = 0
    distance = -torch.log1p(torch.where(a < 0, u, 1 - u) * torch.expm1(-b)) / b
    return torch.where(a < 0, distance, 1 - distance.clamp(max=1))
