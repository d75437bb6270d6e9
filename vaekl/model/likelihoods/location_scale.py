"""Gaussian and Laplace: a location μ and a dispersion φ that is a true scale.

Their `ln C` does not depend on η: E + β_KL·KL = φ·(−ELBO + ln C) at φ = β_KL, so that dropping ln C from the loss at a
fixed φ moves no optimum.
"""

from math import inf, log, pi, sqrt
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from vaekl.model.likelihoods.base import Likelihood, bounded_logit, float32_at_least
from vaekl.system.checks import one_of


class _LocationScale(Likelihood):
    accepts = ("real", "unit_interval", "binary")
    bounds = (-inf, inf)

    def __init__(self, link: Literal["identity", "sigmoid"] = "identity") -> None:
        """Fix the link from the decoder to μ.

        Args:
            link: how the decoder's output becomes μ; `sigmoid` keeps it inside (0, 1).
        """
        self.link = one_of(link, "likelihood.link", ("identity", "sigmoid"))

    def location(self, eta: Tensor) -> Tensor:
        """μ, [B, *S], of η [B, 1, *S]."""
        return eta.squeeze(1).sigmoid() if self.link == "sigmoid" else eta.squeeze(1)

    def mean(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        return self.location(eta)

    @property
    def begins_at_mean(self) -> bool:
        # without a link, MNIST's MLP then gives up its latents before it has learned anything (docs/notes.md)
        return self.link == "sigmoid"

    def eta_of_mean(self, mean: Tensor) -> Tensor:
        return (bounded_logit(mean) if self.link == "sigmoid" else mean).unsqueeze(0)

    def _standardised(self, eta: Tensor, lower: Tensor, upper: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        """(edge − μ)/scale of both edges, float64 [B, *S]; a bin mostly above μ is mirrored to below it."""
        location, edges = self.location(eta.double()), []
        for edge in (lower, upper):
            # an infinite edge is left out of the division, where the gradient of the scale would be 0 · ∞
            infinite = edge.isinf()
            edges.append(torch.where(infinite, edge, (edge.masked_fill(infinite, 0) - location) / scale))
        mirrored = edges[0] + edges[1] > 0
        return torch.where(mirrored, -edges[1], edges[0]), torch.where(mirrored, -edges[0], edges[1])


class Gaussian(_LocationScale):
    """Gaussian with variance φ: E = ½(x − μ)², ln C = −½ ln(2πφ).

    Source: Rybkin, Daniilidis, Levine 2021 ("σ-VAE") for learned and solved φ.

    >>> eta, x, one = torch.zeros(1, 1, 1, 1, 1), torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1)
    >>> round(Gaussian().log_prob(eta, x, one).item(), 6)
    -0.918939
    """

    name = "gaussian"
    dispersion_text = "the variance"
    scale_power = 0.5
    energy_text = "½(x − μ)²"
    log_norm_const_text = "−½ ln(2πφ)"

    def energy(self, eta: Tensor, x: Tensor) -> Tensor:
        return 0.5 * (x - self.location(eta)).square()

    def energy_at_rmse(self, rmse: float) -> float:
        return 0.5 * rmse**2

    def log_norm_const(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        return (-0.5 * (log(2 * pi) + dispersion.log())).expand_as(eta[:, 0])

    def variance(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        return dispersion.expand_as(eta[:, 0])

    def sample(self, eta: Tensor, dispersion: Tensor, generator: torch.Generator | None = None) -> Tensor:
        location = self.location(eta)
        noise = torch.randn(location.shape, generator=generator, device=eta.device, dtype=eta.dtype)
        return location + dispersion.sqrt() * noise

    def log_mass(self, eta: Tensor, lower: Tensor, upper: Tensor, dispersion: Tensor) -> Tensor:
        lower, upper = self._standardised(eta, lower, upper, dispersion.double().sqrt())
        below_lower, below_upper = _log_ndtr(lower), _log_ndtr(upper)
        return float32_at_least(below_upper + _log1mexp(below_lower - below_upper), eta.dtype)


class Laplace(_LocationScale):
    """Laplace with scale φ: E = |x − μ|, ln C = −ln(2φ); its variance is 2φ².

    >>> eta, x, one = torch.zeros(1, 1, 1, 1, 1), torch.ones(1, 1, 1, 1), torch.ones(1, 1, 1)
    >>> round(Laplace().log_prob(eta, x, one).item(), 6)
    -1.693147
    """

    name = "laplace"
    dispersion_text = "the scale"
    scale_power = 1.0
    energy_text = "|x − μ|"
    log_norm_const_text = "−ln(2φ)"

    def energy(self, eta: Tensor, x: Tensor) -> Tensor:
        return (x - self.location(eta)).abs()

    def log_norm_const(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        return (-(log(2) + dispersion.log())).expand_as(eta[:, 0])

    def variance(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        return (2 * dispersion.square()).expand_as(eta[:, 0])

    def sample(self, eta: Tensor, dispersion: Tensor, generator: torch.Generator | None = None) -> Tensor:
        location = self.location(eta)
        # a difference of two exponentials; the inverse cdf would be −∞ where torch.rand is exactly 0
        two = torch.empty((2, *location.shape), device=eta.device, dtype=eta.dtype).exponential_(generator=generator)
        return location + dispersion * (two[0] - two[1])

    def log_mass(self, eta: Tensor, lower: Tensor, upper: Tensor, dispersion: Tensor) -> Tensor:
        lower, upper = self._standardised(eta, lower, upper, dispersion.double())
        beside = upper.clamp(max=0) + _log1mexp(lower - upper) - log(2)
        around = (-0.5 * (torch.expm1(lower) + torch.expm1(-upper.clamp(min=0)))).log()
        return float32_at_least(torch.where(upper > 0, around, beside), eta.dtype)


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


def _log_ndtr(z: Tensor) -> Tensor:
    """ln Φ(z) of any shape, Φ the standard normal's distribution function; its gradient is accurate far in the tail."""
    result: Tensor = _LogNdtr.apply(z)
    return result


def _log1mexp(x: Tensor) -> Tensor:
    """ln(1 − eˣ) for x < 0, of any shape; finite also where x, a difference of two large numbers, is rounded to 0."""
    return torch.log(-torch.expm1(x.clamp(max=-1e-300)))
