"""The logarithm of the beta density's integral over a bin: accurate in any tail, with its gradient, in float64.

Differences of `scipy.special.betainc` underflow in the tails and have no gradient. With t = ln(x/(1−x)) the integrand
is e^g, g(t) = α t − (α+β) ln(1+eᵗ), which is concave: one Gauss rule over the stretch that counts serves every bin.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# what counts is where e^g is above e^−24 of its largest value in the bin; with 24 nodes ln mass is then right to 1e-8
# for parameters from 1e-4 to 1e5
_DROP = 24.0
_NODES, _WEIGHTS = (values.tolist() for values in np.polynomial.legendre.leggauss(24))
_NEWTON_STEPS = 2
# how unevenly the nodes may be spread over the two sides of the mode
_MAX_SKEW = 0.75


def log_mass(alpha: Tensor, beta: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """ln ∫ x^(α−1) (1−x)^(β−1) dx / B(α, β) over [lower, upper] within [0, 1]; float64, nats.

    Args:
        alpha: α > 0, any shape.
        beta: β > 0, of the same shape.
        lower: the bin's beginning, of the same shape.
        upper: the bin's end, of the same shape, above `lower`.

    Source: DLMF 8.17.20 for bins that begin at 0.
    """
    # I(α, β) of a bin is I(β, α) of its mirror image, so that no bin but [0, 1] ends at 1
    mirrored = lower + upper > 1
    alpha, beta = torch.where(mirrored, beta, alpha), torch.where(mirrored, alpha, beta)
    lower, upper = torch.where(mirrored, 1 - upper, lower), torch.where(mirrored, 1 - lower, upper)
    everything = (lower == 0) & (upper == 1)
    upper = upper.masked_fill(everything, 0.5)
    # e^g falls as slowly as e^(αt) towards x = 0; there α ∫ x^(α−1) … = x^α (1−x)^β + (α+β) ∫ x^α …
    from_zero = lower == 0
    raised = alpha + from_zero
    integral = _log_integral(raised, beta, torch.logit(lower), torch.logit(upper))
    end = torch.logaddexp(alpha * upper.log() + beta * torch.log1p(-upper), (alpha + beta).log() + integral)
    constant = torch.lgamma(alpha + beta) - torch.lgamma(raised) - torch.lgamma(beta)
    return (constant + torch.where(from_zero, end, integral)).masked_fill(everything, 0.0)


def _log_integral(alpha: Tensor, beta: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """ln ∫ x^α (1−x)^β dt over [start, end], t = ln(x/(1−x)); `end` is finite."""
    result: Tensor = _LogIntegral.apply(alpha, beta, start, end)
    return result


class _LogIntegral(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, alpha: Tensor, beta: Tensor, start: Tensor, end: Tensor) -> Tensor:
        total = alpha + beta
        peak = torch.minimum(torch.maximum((alpha / beta).log(), start), end)
        left = _reach(beta, total, torch.sigmoid(-peak), peak - start)
        right = _reach(alpha, total, torch.sigmoid(peak), end - peak)
        middle, half = (right - left) / 2, ((right + left) / 2).clamp(min=1e-300)
        # s ↦ (s + skew)/(1 + skew s) maps [−1, 1] onto itself and moves the nodes towards the peak
        skew = (-middle / half).clamp(-_MAX_SKEW, _MAX_SKEW)
        lowest = total * torch.log1p(peak.exp()) - alpha * peak  # of −g
        centre = peak + middle
        mass, log_odds, log_rest = (torch.zeros_like(alpha) for _ in range(3))
        for node, weight in zip(_NODES, _WEIGHTS, strict=True):
            stretch = (1 + node * skew).reciprocal_()
            t = torch.addcmul(centre, half, (skew + node).mul_(stretch))
            rest = t.exp().log1p_()
            part = torch.addcmul(lowest, alpha, t).addcmul_(total, rest, value=-1).exp_().mul_(stretch.square_())
            mass.add_(part, alpha=weight)
            log_odds.addcmul_(part, t, value=weight)
            log_rest.addcmul_(part, rest, value=weight)
        ctx.save_for_backward(log_odds.div_(mass), log_rest.div_(mass))
        return (half * (1 - skew.square()) * mass).log() - lowest

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        # the conditional means of ln x = t − ln(1+eᵗ) and of ln(1−x) = −ln(1+eᵗ)
        log_odds, log_rest = ctx.saved_tensors
        return grad * (log_odds - log_rest), -grad * log_rest, None, None


def _reach(rate: Tensor, total: Tensor, x: Tensor, room: Tensor) -> Tensor:
    """How far from the peak g has fallen by about _DROP, at most `room`; rate and x are α and x* to the right.

    The fall is h(d) = total ln(1 + x(eᵈ − 1)) − rate d. Newton's steps are taken in ln h and ln d, where h is a
    straight line while it is a power of d; they begin where h's quadratic part reaches _DROP.
    """
    slope, curvature = (total * x - rate).clamp(min=0), total * x * (1 - x)
    d = 2 * _DROP / (slope + (slope.square() + 2 * _DROP * curvature).sqrt())
    d = torch.minimum(d, room.clamp(max=300.0))
    for _ in range(_NEWTON_STEPS):
        grown = x * torch.expm1(d)
        fall = (total * torch.log1p(grown) - rate * d).clamp(min=1e-12)
        slope = total * (grown + x) / (1 + grown) - rate
        d = torch.minimum(d * (fall / (d * slope) * (_DROP / fall).log()).clamp(-3, 3).exp(), room)
    return d
