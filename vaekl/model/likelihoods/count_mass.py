"""The logarithm of a negative binomial's or a Poisson's mass in a bin, and its gradient: float64, tails too.

With μ = eᵗ the mass of all counts from j on grows by d P(X ≥ j)/dt = j p(j), a concave exponential in t, so that

    P(X ≥ j) = ∫ j p(j; e^(t−d)) dd,    P(X < j) = ∫ j p(j; e^(t+d)) dd    over d from 0 to ∞

Of the two the one is computed whose integrand falls from its largest value at d = 0 on.
"""

from math import cosh, exp, inf, log, pi, sinh

import torch
from torch import Tensor

from vaekl.model.likelihoods.counts import mean_of, negative_log_mass
from vaekl.model.likelihoods.tails import log1mexp

#: an overdispersion at which the negative binomial is the Poisson to float64's last digit
_POISSON = 1e-150
#: the logarithm of no mass; finite, so that gradients are
_NOTHING = -1e30
#: nodes and weights of ∫ f(d) dd with d = exp(π/2 sinh s): one rule for falls over any number of scales
_STEP = 0.09
_RULE = [
    (exp(pi / 2 * sinh(s)), _STEP * pi / 2 * cosh(s) * exp(pi / 2 * sinh(s)))
    for s in (k * _STEP for k in range(-41, 33))
]
#: so many counts in a bin are added up, which is exact also where both tails are nearly everything or nothing
_FEW = 100
#: from this d on e^d would be too large
_FAR = 40.0


def log_mass(eta: Tensor, phi: Tensor | None, lower: Tensor, upper: Tensor) -> Tensor:
    """ln P(lower < X ≤ upper), nats, float64; −inf where there is no whole number between them.

    Args:
        eta: of the mean, [B, *S], float64.
        phi: the overdispersion, float64, broadcasts against η; None for the Poisson.
        lower: float64, broadcasts against η.
        upper: of the same shape.
    """
    phi = torch.full_like(eta, _POISSON) if phi is None else phi
    eta, phi, first, last = torch.broadcast_tensors(eta, phi, lower.floor().clamp(min=-1) + 1, upper.floor())
    few, empty = last - first < _FEW, last < first
    masses = [-negative_log_mass(eta, torch.where(few & ~empty, first, 0.0), phi)]
    for k in range(1, int((last - first).masked_fill(~few, 0).max().clamp(min=0)) + 1):
        inside = few & (first + k <= last)
        next_mass = -negative_log_mass(eta, torch.where(inside, first + k, 0.0), phi)
        masses.append(next_mass.masked_fill(~inside, _NOTHING))
    mass = torch.stack(masses).logsumexp(0)
    if not bool(few.all()):
        below, above = _tails(eta, phi, first), _tails(eta, phi, last + 1)
        right = below[1] + log1mexp(above[1] - below[1])
        left = above[0] + log1mexp(below[0] - above[0])
        middle = log1mexp(torch.logaddexp(below[0], above[1]))
        is_left, is_right = above[0] < log(0.5), below[0] > log(0.5)
        mass = torch.where(few, mass, torch.where(is_right, right, torch.where(is_left, left, middle)))
    return mass.masked_fill(empty, -inf)


def _tails(eta: Tensor, phi: Tensor, j: Tensor) -> tuple[Tensor, Tensor]:
    """ln P(X < j) and ln P(X ≥ j) of whole numbers j, or ∞; all of one shape."""
    nothing, everything = j <= 0, j == inf
    j = j.masked_fill(everything, 1.0).clamp(min=1)
    smaller = _smaller_tail(eta, phi, j)
    other, rising = log1mexp(smaller), mean_of(eta) < j
    below, above = torch.where(rising, other, smaller), torch.where(rising, smaller, other)
    below = below.masked_fill(nothing, _NOTHING).masked_fill(everything, 0.0)
    return below, above.masked_fill(nothing, 0.0).masked_fill(everything, _NOTHING)


def _smaller_tail(eta: Tensor, phi: Tensor, j: Tensor) -> Tensor:
    """ln P(X ≥ j) where μ < j, else ln P(X < j); j ≥ 1."""
    mean = mean_of(eta)
    rising, wide, r = mean < j, 1 + phi * mean, 1 / phi
    with torch.no_grad():
        slope, curvature = (j - mean).abs() / wide, mean * (1 + phi * j) / wide.square()
        scale = 2 / (slope + (slope.square() + 2 * curvature).sqrt())
        sign = torch.where(rising, -1.0, 1.0)
    total = torch.zeros_like(mean)
    for node, weight in _RULE:
        d = node * scale
        moved = phi * mean / wide * (sign * d.clamp(max=_FAR)).expm1()
        log_wide = torch.where(
            moved < -0.5,
            (1 + phi * mean * (sign * d.clamp(max=_FAR)).exp()).log() - wide.log(),
            moved.clamp(min=-0.5).log1p(),
        )
        near = (r + j) * log_wide - sign * j * d
        far = r * d + (r + j) * ((-d).expm1() / wide).clamp(min=1e-12 - 1).log1p()
        fall = torch.where(~rising & (d > _FAR), far, near)
        total = total + weight * (-fall).exp()
    return j.log() - negative_log_mass(eta, j, phi) + (scale * total).log()
