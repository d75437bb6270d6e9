"""The negative binomial distribution of counts that vary more than a Poisson's."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from vaekl.data.order import numpy_generator
from vaekl.model.likelihoods import count_mass
from vaekl.model.likelihoods.counts import LEAST, Counts, dispersion_of, drawn, mean_of, negative_log_mass
from vaekl.model.likelihoods.numerics import float32_at_least
from vaekl.system.checks import one_of


class NegativeBinomial(Counts):
    """Negative binomial with mean μ = exp(η) and variance μ + φμ²: E = −φ ln p, ln C = 0; φ → 0 is the Poisson.

    In scvi-tools' words θ = 1/φ. It is a Poisson whose rate has a gamma distribution with mean μ and shape 1/φ.

    Source: Lopez, Regier, Cole, Jordan, Yosef 2018 ("scVI").

    >>> eta, x = torch.zeros(1, 1, 1, 1, 1), torch.zeros(1, 1, 1, 1)
    >>> round(NegativeBinomial().log_prob(eta, x, torch.ones(1, 1, 1)).item(), 6)  # -ln 2
    -0.693147
    """

    name = "negative_binomial"
    weighs_energy = False
    energy_depends_on_dispersion = True
    weighting: str | None = "learned_precision"
    energy_text = "−ln NB(x; μ, φ)"
    dispersion_text = "the overdispersion: the variance is μ + φμ²"

    def __init__(self, dispersion: Literal["shared", "decoder"] = "shared") -> None:
        """Fix whose the overdispersion is.

        Args:
            dispersion: shared: φ, one for all, per channel or per value, which the weighting learns; decoder: the
                decoder's second output gives one for each value, and the weighting's φ is 1.
        """
        self.by_decoder = one_of(dispersion, "likelihood.dispersion", ("shared", "decoder")) == "decoder"
        if self.by_decoder:
            self.outputs, self.weighs_energy, self.energy_depends_on_dispersion, self.weighting = 2, True, False, None
            self.dispersion_text = "1: the decoder gives the overdispersion"

    @property
    def protocol(self) -> str:
        floor = f"; the decoder gives one φ per value, at least {LEAST:g}" if self.by_decoder else ""
        return super().protocol + floor

    def check_dispersion(self, dispersion: float) -> None:
        super().check_dispersion(dispersion)
        if self.by_decoder:
            self.refuse_dispersion(dispersion, "the decoder gives each φ", "likelihood.dispersion=shared")

    def overdispersion(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        """φ of the density itself, float32 at least; broadcasts against [B, *S]."""
        if not self.by_decoder:
            return float32_at_least(dispersion, eta.dtype)
        return dispersion_of(float32_at_least(eta[:, 1], eta.dtype))

    def energy(self, eta: Tensor, x: Tensor, dispersion: Tensor) -> Tensor:
        nats = self.negative_log_mass(eta, x, self.overdispersion(eta, dispersion))
        return nats if self.by_decoder else dispersion * nats

    def negative_log_mass(self, eta: Tensor, x: Tensor, phi: Tensor) -> Tensor:
        """−ln p(x), nats, [B, *S].

        Args:
            eta: [B, P, *S].
            x: [B, *S].
            phi: φ of the density itself, as `overdispersion` gives it; broadcasts against x.
        """
        return negative_log_mass(self.log_mean(eta), x, phi)

    def mean(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        return mean_of(self.log_mean(eta))

    def variance(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        mean = mean_of(self.log_mean(eta))
        return mean * (1 + self.overdispersion(eta, dispersion) * mean)

    def sample(self, eta: Tensor, dispersion: Tensor, generator: torch.Generator | None = None) -> Tensor:
        # torch's sampler of the gamma distribution takes no generator
        mean = mean_of(self.log_mean(eta)).detach()
        phi = self.overdispersion(eta, dispersion).detach().expand_as(mean).cpu().double().numpy()
        factor = np.asarray(numpy_generator(generator).gamma(1 / phi)) * phi
        return drawn(mean * torch.from_numpy(factor).to(mean), generator)

    def first_eta(self, mean: Tensor, variance: float) -> Tensor | None:
        log_mean = mean.clamp(min=1e-3).log()
        return torch.stack([log_mean, *[torch.zeros_like(mean)] * (self.outputs - 1)])

    def log_mass(self, eta: Tensor, lower: Tensor, upper: Tensor, dispersion: Tensor) -> Tensor:
        exact = eta.double()
        phi = self.overdispersion(exact, dispersion.double())
        return float32_at_least(count_mass.log_mass(self.log_mean(exact), phi, lower, upper), eta.dtype)
