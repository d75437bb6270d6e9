"""What the distributions of counts share: ln p of the negative binomial, whose limit at φ = 0 is the Poisson's.

With mean μ, variance μ + φμ² and r = 1/φ,

    −ln p(x) = r ln v + x ln(v x/μ) + ½ ln(2πx (1 + φx)) + s(x) + s(r) − s(x + r),     v = (1 + φμ)/(1 + φx)

where s(z) = ln Γ(z) − (z − ½) ln z + z − ½ ln 2π is what Stirling's formula lacks. No two of these terms cancel: of
ln Γ(x + r) − ln Γ(r) float32 has no digit left at r = 10⁷.
"""

from math import inf, log, pi
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import softplus

from vaekl.model.likelihoods.base import Likelihood
from vaekl.model.likelihoods.numerics import float32_at_least
from vaekl.model.mapped import applied, needs_gradient

#: η from which the mean grows no faster than η: e^17 is more than any count that float32 can hold
CAP = 17.0
#: the smallest overdispersion that a decoder can give
LEAST = 1e-6


def _remainder(z: Any) -> Any:
    """s(z) of numbers from 1 on, an array, to the last digit of float64: by its asymptotic series at z + 12."""
    steps = z + np.arange(12.0).reshape(12, *[1] * np.ndim(z))
    far = 1 / (z + 12)
    series = far * (1 / 12 - far**2 * (1 / 360 - far**2 * (1 / 1260 - far**2 * (1 / 1680 - far**2 / 1188))))
    return ((steps + 0.5) * np.log1p(1 / steps) - 1).sum(0) + series


def _polynomial(degree: int) -> list[float]:
    """Coefficients, the highest first, of s(1/u) in t = 2u − 1, as u times what interpolates s(1/u)/u on (0, 1]."""
    per_u = np.polynomial.Chebyshev.interpolate(lambda t: _remainder(2 / (t + 1)) * 2 / (t + 1), degree)
    whole = per_u.convert(kind=np.polynomial.Polynomial) * np.polynomial.Polynomial([0.5, 0.5])
    coefficients: list[float] = whole.coef[::-1].tolist()
    return coefficients


#: wrong by 5e-9 of float32, and in the last digit of float64
_COEFFICIENTS = {torch.float32: _polynomial(6), torch.float64: _polynomial(20)}


def _horner(coefficients: list[float], t: Tensor) -> Tensor:
    total = (t * coefficients[0]).add_(coefficients[1])
    for coefficient in coefficients[2:]:
        total.mul_(t).add_(coefficient)
    return total


def stirling(z: Tensor) -> Tensor:
    """s(z) for z ≥ 1, of any shape."""
    return _horner(_COEFFICIENTS[z.dtype], (2 / z).sub_(1))


def stirling_slope(z: Tensor) -> Tensor:
    """−z² ds/dz for z ≥ 1, of any shape: near 1/12, so that it keeps its digits where s is flat."""
    coefficients = _COEFFICIENTS[z.dtype]
    power = len(coefficients) - 1
    return _horner([2 * c * (power - k) for k, c in enumerate(coefficients[:-1])], (2 / z).sub_(1))


def mean_of(eta: Tensor) -> Tensor:
    """μ = exp(η), and e^17 (1 + η − 17) from η = 17 on; of any shape."""
    return eta.clamp(max=CAP).exp() * (1 + (eta - CAP).clamp(min=0))


def dispersion_of(eta: Tensor) -> Tensor:
    """φ of a decoder that gives it: as the mean, of a smooth maximum of η and ln 1e-6; of any shape."""
    least = log(LEAST)
    return mean_of(least + softplus(eta - least, threshold=40))


class _NegativeLogMass(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, eta: Tensor, x: Tensor, phi: Tensor | None, learned: bool) -> Tensor:
        # in place where it can be: fresh memory takes as long as most of these functions
        beyond = (eta - CAP).clamp_(min=0)
        ratio = eta.clamp(max=CAP).add_(beyond.log1p())
        # a choice by a number, 1 for a count of 0, takes a fifth of the time of one by a condition
        mean, zero, positive = ratio.exp(), (1 - x).clamp_(min=0), x.clamp(min=1)
        log_x = (positive - 1).log1p_()  # which takes half of the time of log
        ratio.sub_(log_x)
        # of μ − x by itself the digits of a large count are lost, which x ln(μ/x) has
        excess = ratio.expm1().mul_(positive).lerp_(mean, zero)
        at_mean = stirling(positive).add_(log_x.add_(log(2 * pi)), alpha=0.5)
        slope = None
        if phi is None:
            nats = torch.addcmul(excess, x, ratio, value=-1)
        else:
            r, wide = 1 / phi, phi * x
            at_mean.add_(wide.log1p(), alpha=0.5)
            wide.add_(1)
            log_v = (phi * excess).div_(wide).clamp_(min=torch.finfo(x.dtype).eps - 1).log1p_()
            # x ln(v x/μ), whose two terms nearly cancel where φx is large
            y = (-ratio).clamp_(max=80).expm1_().div_(wide)
            apart = (y < -0.5).logical_or_(ratio < -80).to(y.dtype)
            y.clamp_(min=-0.5).log1p_().lerp_(ratio.neg_().add_(log_v), apart)
            nats = y.mul_(x).addcmul_(log_v, r)
            # s(r) by s(r + 1) where r < 1
            below, total = r < 1, positive + r
            of_r = torch.where(below, r + 1, r)
            shift = torch.where(below, (r + 0.5) * phi.log1p() - 1, 0.0)
            at_mean.add_(stirling(of_r) + shift).sub_(stirling(total))
            if learned:
                shift = torch.where(below, (r + 0.5) / (1 + phi) - r.square() * phi.log1p(), 0.0)
                of_s = stirling_slope(of_r) * (r / of_r).square() + shift
                slope = stirling_slope(total).mul_((r / total).square_()).neg_().add_(of_s)
                slope.addcdiv_(x, wide, value=0.5)
                slope.addcmul_(slope, zero, value=-1)
            excess.div_(mean.mul_(phi).add_(1))
            if slope is not None:
                slope.addcmul_((phi * excess).sub_(log_v), r.square())
        ctx.phi_shape = None if phi is None else phi.shape
        ctx.save_for_backward(excess.div_(beyond.add_(1)), slope)
        return nats.add_(at_mean.addcmul_(at_mean, zero, value=-1))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, Tensor | None, None]:
        to_eta, to_phi = ctx.saved_tensors
        return grad * to_eta, None, None if to_phi is None else (grad * to_phi).sum_to_size(ctx.phi_shape), None


def negative_log_mass(eta: Tensor, x: Tensor, phi: Tensor | None = None) -> Tensor:
    """−ln p(x), nats, [B, *S].

    Args:
        eta: of the mean, [B, *S], float32 or float64.
        x: counts, [B, *S].
        phi: the overdispersion, broadcasts against x; None for the Poisson.
    """
    learned = phi is not None and needs_gradient(phi)
    phi = None if phi is None else phi.to(eta.dtype)
    result: Tensor = applied(_NegativeLogMass, eta, x.to(eta.dtype), phi, learned)
    return result


class Counts(Likelihood):
    """Base class; μ is exp of the first output."""

    accepts = ("counts",)
    discrete = True
    takes_offset = True
    bounds = (0.0, inf)
    log_norm_const_text = "0"

    @property
    def protocol(self) -> str:
        return f"means above e^{CAP:g} grow as η, not as exp(η)"

    def log_mean(self, eta: Tensor) -> Tensor:
        """The first output, [B, *S], float32 at least; `mean_of` makes it the mean."""
        return float32_at_least(eta[:, 0], eta.dtype)

    def log_norm_const(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        return torch.zeros_like(eta[:, 0])

    def eta_of_mean(self, mean: Tensor) -> Tensor | None:
        # a value that is always 0 in the data may be rare elsewhere
        return mean.clamp(min=1e-3).log().unsqueeze(0) if self.outputs == 1 else None

    def first_eta(self, mean: Tensor, variance: float) -> Tensor | None:
        return self.eta_of_mean(mean)


def drawn(rate: Tensor, generator: torch.Generator | None) -> Tensor:
    """A count of each rate, of any shape; rates beyond 1e15, which no data have, count as that."""
    return torch.poisson(rate.clamp(max=1e15), generator=generator)
