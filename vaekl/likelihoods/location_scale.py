"""Gaussian and Laplace: a location μ and a dispersion φ that is a true scale.

Their `ln C` does not depend on η, so dropping it moves no optimum: E + β_KL·KL is the negative ELBO at
φ = β_KL, times φ.
"""

from math import inf, log, pi
from typing import Literal

import torch
from torch import Tensor

from vaekl.errors import VaeklError
from vaekl.likelihoods.base import Likelihood


class _LocationScale(Likelihood):
    accepts = ("real", "unit_interval", "binary")
    bounds = (-inf, inf)

    def __init__(self, link: Literal["identity", "sigmoid"] = "identity") -> None:
        """Fix the link from the decoder to μ.

        Args:
            link: how the decoder's output becomes μ; `sigmoid` keeps it inside (0, 1).
        """
        if link not in ("identity", "sigmoid"):
            raise VaeklError(f"likelihood.link must be identity or sigmoid, not {link!r}.")
        self.link = link

    def location(self, eta: Tensor) -> Tensor:
        """μ, the family's location."""
        return eta[:, 0].sigmoid() if self.link == "sigmoid" else eta[:, 0]

    def mean(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        return self.location(eta)


class Gaussian(_LocationScale):
    """Gaussian with variance φ: E = ½(x − μ)², ln C = −½ ln(2πφ).

    Source: Rybkin, Daniilidis, Levine 2021 ("σ-VAE") for learned and solved φ.

    >>> eta, x, one = torch.zeros(1, 1, 1, 1, 1), torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1)
    >>> round(Gaussian().log_prob(eta, x, one).item(), 6)
    -0.918939
    """

    name = "gaussian"
    scale_power = 0.5
    energy_text = "½(x − μ)²"
    log_norm_const_text = "−½ ln(2πφ)"

    def energy(self, eta: Tensor, x: Tensor) -> Tensor:
        return 0.5 * (x - self.location(eta)).square()

    def log_norm_const(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        return (-0.5 * (log(2 * pi) + dispersion.log())).expand_as(eta[:, 0])

    def variance(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        return dispersion.expand_as(eta[:, 0])

    def sample(self, eta: Tensor, dispersion: Tensor, generator: torch.Generator | None = None) -> Tensor:
        location = self.location(eta)
        noise = torch.randn(location.shape, generator=generator, device=eta.device, dtype=eta.dtype)
        return location + dispersion.sqrt() * noise

    def cdf(self, eta: Tensor, x: Tensor, dispersion: Tensor) -> Tensor:
        mass: Tensor = torch.special.ndtr((x - self.location(eta)) / dispersion.sqrt())
        return mass


class Laplace(_LocationScale):
    """Laplace with scale φ: E = |x − μ|, ln C = −ln(2φ); its variance is 2φ².

    >>> eta, x, one = torch.zeros(1, 1, 1, 1, 1), torch.ones(1, 1, 1, 1), torch.ones(1, 1, 1)
    >>> round(Laplace().log_prob(eta, x, one).item(), 6)
    -1.693147
    """

    name = "laplace"
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
        # a difference of two exponentials; inverting the cdf would give −∞ where torch.rand is exactly 0
        two = torch.empty((2, *location.shape), device=eta.device, dtype=eta.dtype).exponential_(generator=generator)
        return location + dispersion * (two[0] - two[1])

    def cdf(self, eta: Tensor, x: Tensor, dispersion: Tensor) -> Tensor:
        distance = (x - self.location(eta)) / dispersion
        tail = 0.5 * torch.exp(-distance.abs())
        return torch.where(distance < 0, tail, 1 - tail)
