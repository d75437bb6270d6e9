"""The logarithm of the beta density's integral over a bin, and its gradient: float64, accurate far in the tails too.

Differences of `scipy.special.betainc` underflow in the tails and have no gradient. With t = ln(x/(1−x)) the integrand
is e^g with a concave g(t) = α t − (α+β) ln(1+eᵗ), so that one Gauss–Legendre rule, over the part of the bin where e^g
is not negligible, or one on either side of its peak, is accurate for every bin.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import logsigmoid

from vaekl.model.mapped import applied

#: the rule covers where e^g is above e^−24 of its largest value in the bin; with 24 nodes the relative error is 1e-8
#: for parameters from 1e-4 to 1e5
_DROP = 24.0
_NODES, _WEIGHTS = (values.tolist() for values in np.polynomial.legendre.leggauss(24))
_NEWTON_STEPS = 2
#: a wider bin with the peak inside is cut there if both parameters are smaller than this: e^g then falls slowly to both
#: sides, and would want more nodes; where it falls as a Gaussian does, the two halves would want more
_WIDE, _SLOW = 8.0, 50.0
#: how unevenly the nodes may be spread over the two sides of the peak, from 0 to 1
_MAX_SKEW = 0.75


def log_mass(alpha: Tensor, beta: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """ln ∫ x^(α−1) (1−x)^(β−1) dx / B(α, β) over [lower, upper] within [0, 1]; float64, nats.

    Args:
        alpha: α > 0, any shape.
        beta: β > 0, of the same shape.
        lower: the bin's beginning, of the same shape.
        upper: the bin's end, of the same shape, above `lower`.
    """
    return log_mass_by_log_odds(alpha, beta, torch.logit(lower), torch.logit(upper))


def log_mass_by_log_odds(alpha: Tensor, beta: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """The same of the bin between two ln(x/(1−x)), which keep their digits at both ends; −∞ is 0 and ∞ is 1.

    Source: DLMF 8.17.20 for bins that begin at 0.
    """
    everything = start.isneginf() & end.isposinf()
    end = end.masked_fill(everything, 0.0)
    # a bin has the mass of its mirror image under (β, α): mirrored like this, no bin ends at 1
    mirrored = start + end > 0
    alpha, beta = torch.where(mirrored, beta, alpha), torch.where(mirrored, alpha, beta)
    start, end = torch.where(mirrored, -end, start), torch.where(mirrored, -start, end)
    # towards x = 0, e^g falls only as e^(αt): bins from 0 are integrated at α + 1, by
    # α ∫ x^(α−1) (1−x)^(β−1) dx = x^α (1−x)^β + (α+β) ∫ x^α (1−x)^(β−1) dx
    from_zero = start.isneginf()
    raised = alpha + from_zero
    integral = _log_integral(raised, beta, start, end)
    at_end = torch.logaddexp(alpha * logsigmoid(end) + beta * logsigmoid(-end), (alpha + beta).log() + integral)
    constant = torch.lgamma(alpha + beta) - torch.lgamma(raised) - torch.lgamma(beta)
    return (constant + torch.where(from_zero, at_end, integral)).masked_fill(everything, 0.0)


def _log_integral(alpha: Tensor, beta: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """ln ∫ x^α (1−x)^β dt over [start, end] in t = ln(x/(1−x)); all of one shape, `end` finite."""
    peak = (alpha / beta).log()
    wide = (start < peak) & (peak < end) & (end - start > _WIDE) & (torch.maximum(alpha, beta) < _SLOW)
    result: Tensor = applied(_LogIntegral, alpha, beta, start, torch.where(wide, peak, end))
    if wide.any():
        right: Tensor = applied(_LogIntegral, alpha[wide], beta[wide], peak[wide], end[wide])
        result = result.masked_scatter(wide, torch.logaddexp(result[wide], right))
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
    """The distance d from the peak at which g has fallen by about _DROP.

    The fall is h(d) = total ln(1 + x(eᵈ − 1)) − rate d. Newton's steps are taken in ln h and ln d, where a power of d
    is a straight line; they begin where the quadratic part of h reaches _DROP. All of one shape.

    Args:
        rate: α for the distance to the right, β to the left.
        total: α + β.
        x: x at the peak for the distance to the right, 1 − x to the left.
        room: the distance to the bin's edge, which the result does not exceed.
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
