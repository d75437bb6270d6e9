"""The Poisson distribution of counts."""

import torch
from torch import Tensor

from vaekl.model.likelihoods import count_mass
from vaekl.model.likelihoods.counts import Counts, drawn, mean_of, negative_log_mass
from vaekl.model.likelihoods.numerics import float32_at_least


class Poisson(Counts):
    """Poisson with mean μ = exp(η): E = μ − x ln μ + ln x!, ln C = 0, φ = 1.

    ln x! does not depend on η, and losses often lack it, as torch.nn.PoissonNLLLoss does unless told full=True (where
    it is Stirling's formula); without it exp(−E) is no probability.

    >>> eta, x, one = torch.zeros(1, 1, 1, 1, 1), torch.full((1, 1, 1, 1), 3.0), torch.ones(1, 1, 1)
    >>> round(Poisson().log_prob(eta, x, one).item(), 6)  # -1 - ln 6
    -2.791759
    """

    name = "poisson"
    energy_text = "μ − x ln μ + ln x!"
    dispersion_text = "1"

    def check_dispersion(self, dispersion: float) -> None:
        super().check_dispersion(dispersion)
        other = "likelihood=negative_binomial, which learns by how much the variance is larger"
        self.refuse_dispersion(dispersion, "its variance is its mean", other)

    def energy(self, eta: Tensor, x: Tensor, dispersion: Tensor) -> Tensor:
        return negative_log_mass(self.log_mean(eta), x)

    def mean(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        return mean_of(self.log_mean(eta))

    def variance(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        return mean_of(self.log_mean(eta))

    def sample(self, eta: Tensor, dispersion: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return drawn(self.mean(eta, dispersion), generator)

    def log_mass(self, eta: Tensor, lower: Tensor, upper: Tensor, dispersion: Tensor) -> Tensor:
        mass = count_mass.log_mass(self.log_mean(eta.double()), None, lower, upper)
        return float32_at_least(mass, eta.dtype)
