"""The continuous Bernoulli's functions of its logit a, accurate to a few ulp for every a.

The closed forms subtract numbers that agree to many digits near a = 0 and overflow far from it, so

- ln C and ln p take (1 − e^−|a|)/|a| by expm1, which is accurate for every a and never overflows;
- their derivatives are written near 0 with S(u²) = (sinh u − u)/u³, whose series has positive terms only, and elsewhere
  with e^−|a|: both are computed for every a, and `_choose` takes the accurate one.

PyTorch's own `ContinuousBernoulli` does neither: in float32 its gradient is zero from |a| ≈ 16.
"""

from math import exp, factorial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from vaekl.model.mapped import applied

# 1/3!, 1/5!, ...: six terms reach 1e-9 relative at u = 1.5, and float64's last digits take fourteen
_SINH_SERIES = [1 / factorial(2 * k + 3) for k in range(14)]
_NEAR = 1.5
_TINY = 1e-20
#: how often an interval of 420 is halved: to 2e-3, from where two of Newton's steps reach the last digits
_HALVINGS = 18


def _series(square: Tensor) -> Tensor:
    """S(u²), for `square` = u² up to _NEAR²."""
    terms = 6 if square.dtype == torch.float32 else len(_SINH_SERIES)
    total = square * _SINH_SERIES[terms - 1]
    for coefficient in reversed(_SINH_SERIES[1 : terms - 1]):
        total = total.add_(coefficient).mul_(square)
    return total.add_(_SINH_SERIES[0])


def _choose(near: Tensor, far: Tensor, b: Tensor, border: float) -> Tensor:
    """`near` up to b = border, else `far`; both are finite."""
    # lerp is exact at its ends; on a CPU torch.where costs ten times as much, and a comparison four times
    return torch.lerp(near, far, (b - border).sign_().clamp_(min=0))


def _slope(a: Tensor, b: Tensor, decay: Tensor) -> Tensor:
    """d ln C/da from b = |a| and e^−b."""
    near = b.clamp(max=_NEAR)
    scaled = near * _series(near.square())
    near = scaled.div_(near.mul_(scaled).add_(1))
    # 1/b − 2/(e^b − e^−b)
    small = decay.clamp(max=exp(-_NEAR))
    far = b.clamp(min=_NEAR).reciprocal_().sub_(small.reciprocal().sub_(small).reciprocal_(), alpha=2)
    return _choose(near, far, b, _NEAR).mul_(a.sign())


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
        # no digits are lost: for a < 0 both terms are positive, and for a > 0 the result is at least ½
        return torch.sigmoid(a) - log_norm_const_slope(a)

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
        # of the bin from the end at which the density is largest, so that nothing large is subtracted
        distance = torch.where(a < 0, lower, 1 - upper)
        return torch.log(torch.expm1(-b * width) / torch.expm1(-b)) - b * distance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        # d ln P/da in an exponential family: the mean of x inside the bin less the mean of x
        a, lower, upper = ctx.saved_tensors
        width = upper - lower
        return grad * (lower + width * mean(a * width) - mean(a)), None, None


class _Quantile(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, u: Tensor) -> Tensor:
        b = a.abs().clamp(min=_TINY)
        # the distance of x from the end where the density is largest, 0 for a < 0 and else 1, loses no digits
        distance = (-torch.log1p(torch.where(a < 0, u, 1 - u) * torch.expm1(-b)) / b).clamp(max=1)
        ctx.save_for_backward(a, distance)
        return torch.where(a < 0, distance, 1 - distance)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None]:
        # dx/da = −(dP(X ≤ x)/da)/p(x), the same for a and −a at the same distance d from their end, where it is
        # (d − (e^{bd} − 1)/(e^b − 1))/b, or (e^{bd} − 1)/b times the mean of −b less the mean of −b inside [0, d]
        a, d = ctx.saved_tensors
        b = a.abs()
        near = b.clamp(min=_TINY, max=_NEAR)
        near = torch.expm1(near * d) / near * (mean(-near) - d * mean(-near * d))
        far = b.clamp(min=_NEAR)
        far = (d - torch.exp(far * (d - 1)) * torch.expm1(-far * d) / torch.expm1(-far)) / far
        to_u = grad * torch.exp(-log_prob(-b, d)) if ctx.needs_input_grad[1] else None
        return grad * _choose(near, far, b, _NEAR), to_u


class _LogProb(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(a, x)
        minus_b = a.abs().clamp_(min=_TINY).neg_()
        # a x − max(a, 0) as one product loses no digits at a large logit; −ln((1 − e^−b)/b) never overflows
        step = a.sign().clamp_(min=0)
        product = torch.sub(x, step, out=step).mul_(a)
        return product.sub_(torch.expm1(minus_b).div_(minus_b).log_())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        a, x = ctx.saved_tensors
        # training needs no gradient with respect to the data
        to_a = grad * (x - mean(a)) if ctx.needs_input_grad[0] else None
        return to_a, grad * a if ctx.needs_input_grad[1] else None


class _Parts(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        b = a.abs()
        decay = torch.exp(-b)
        ctx.save_for_backward(a, x, b, decay)
        # softplus(a) = max(a, 0) + log1p(e^−b), and ln C = log1p(e^−b) − ln((1 − e^−b)/b)
        shared = torch.log1p(decay).sum(1)
        energy = a.sign().clamp_(min=0).sub_(x).mul_(a).sum(1)
        minus_b = torch.neg(b).clamp_(max=-_TINY)
        ratio = torch.expm1(minus_b).div_(minus_b)
        return energy + shared, shared - ratio.log_().sum(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_energy: Tensor | None, to_constant: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        # to_constant is None where the loss drops the constant: its slope is then not computed
        a, x, b, decay = ctx.saved_tensors
        to_a = to_x = None
        if to_energy is not None:
            to_a = torch.sigmoid(a).sub_(x).mul_(to_energy.unsqueeze(1))
            to_x = -a * to_energy.unsqueeze(1) if ctx.needs_input_grad[1] else None
        if to_constant is not None:
            slope = _slope(a, b, decay)
            to_constant = to_constant.unsqueeze(1)
            to_a = slope.mul_(to_constant) if to_a is None else to_a.addcmul_(slope, to_constant)
        return to_a, to_x


def parts(a: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Energy softplus(a) − a x and ln C(a) in one pass, a and x [B, D] -> two sums [B]; nats."""
    energy, log_norm_const = applied(_Parts, a, x)
    return energy, log_norm_const


def log_prob(a: Tensor, x: Tensor) -> Tensor:
    """ln p(x) = a x − ln((e^a − 1)/a) in one pass, equal to the sum of energy and constant; nats, of any shape."""
    result: Tensor = applied(_LogProb, a, x)
    return result


def log_norm_const(a: Tensor) -> Tensor:
    """ln C(a) = ln(a / tanh(a/2)) = ln a − ln(1 − e^−a) + ln(1 + e^−a), at least ln 2; nats, any shape."""
    result: Tensor = applied(_LogNormConst, a)
    return result


def log_norm_const_slope(a: Tensor) -> Tensor:
    """d ln C/da = 1/a − 1/sinh(a), which near 0 is a S/(1 + a² S); any shape."""
    b = a.abs()
    return _slope(a, b, torch.exp(-b))


def mean(a: Tensor) -> Tensor:
    """E[x] = 1/(1 − e^−a) − 1/a, in (0, 1); any shape."""
    result: Tensor = applied(_Mean, a)
    return result


def logit_of_mean(mean: Tensor) -> Tensor:
    """The a whose density has this mean, by halving and Newton's steps; means are clipped to [0.005, 0.995]."""
    m = mean.double().clamp(0.005, 0.995)
    lower, upper = torch.full_like(m, -210), torch.full_like(m, 210)
    for _ in range(_HALVINGS):
        middle = (lower + upper) / 2
        above = applied(_Mean, middle) > m
        lower, upper = torch.where(above, lower, middle), torch.where(above, middle, upper)
    for _ in range(2):
        middle = middle - (applied(_Mean, middle) - m) / variance(middle)
    return middle.to(mean)


def variance(a: Tensor) -> Tensor:
    """Var[x] = dE[x]/da = 1/a² − 1/(4 sinh²(a/2)); any shape. With u = a/2 it is ¼ S (2 + u² S)/(1 + u² S)² near 0."""
    b = a.abs()
    u = b.clamp(max=2 * _NEAR) / 2
    series = _series(u * u)
    rest = u * u * series
    near = 0.25 * series * (2 + rest) / (1 + rest).square()
    distant = b.clamp(min=2 * _NEAR)
    decay = torch.exp(-distant)
    far = 1 / (distant * distant) - decay / (1 - decay).square()
    return _choose(near, far, b, 2 * _NEAR)


def log_mass(a: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """ln P(lower < x ≤ upper) = ln[(e^{a·upper} − e^{a·lower})/(e^a − 1)], nats; the edges are clipped to [0, 1].

    Args:
        a: the logit, of any shape.
        lower: the bin's beginning; broadcasts against a.
        upper: the bin's end; broadcasts against a.
    """
    result: Tensor = applied(_LogMass, *torch.broadcast_tensors(a, lower.clamp(0, 1), upper.clamp(0, 1)))
    return result


def quantile(a: Tensor, u: Tensor) -> Tensor:
    """The x with P(X ≤ x) = u, ln(1 + u (e^a − 1))/a, for u in [0, 1] of the shape of a."""
    result: Tensor = applied(_Quantile, a, u)
    return result
