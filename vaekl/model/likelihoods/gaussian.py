"""The Gaussian."""

from math import log, pi

import torch
from torch import Tensor

from vaekl.model.likelihoods.location_scale import LocationScale
from vaekl.model.likelihoods.tails import log1mexp, log_ndtr


class Gaussian(LocationScale):
    """Gaussian with variance φ: E = ½(x − μ)², ln C = −½ ln(2πφ); with the decoder's scale s, of variance s²φ.

    Source: Rybkin, Daniilidis, Levine 2021 ("σ-VAE") for learned and solved φ.

    >>> eta, x, one = torch.zeros(1, 1, 1, 1, 1), torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1)
    >>> round(Gaussian().log_prob(eta, x, one).item(), 6)
    -0.918939
    """

    name = "gaussian"
    dispersion_text = "the variance"
    power = 0.5
    scale_power: float | None = 0.5
    energy_text = "½(x − μ)²"
    log_norm_const_text = "−½ ln(2πφ)"
    texts_by_decoder = ("½((x − μ)/s)²", "−½ ln(2πs²φ)")

    def energy(self, eta: Tensor, x: Tensor, dispersion: Tensor) -> Tensor:
        return 0.5 * self.offset(eta, x).square()

    def energy_at_rmse(self, rmse: float) -> float | None:
        return None if self.by_decoder else 0.5 * rmse**2

    def unit_log_norm_const(self, eta: Tensor) -> float:
        return -0.5 * log(2 * pi)

    def unit_variance(self, eta: Tensor) -> float:
        return 1.0

    def unit_draw(self, eta: Tensor, generator: torch.Generator | None) -> Tensor:
        return torch.randn(eta[:, 0].shape, generator=generator, device=eta.device, dtype=eta.dtype)

    def unit_log_mass(self, eta: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
        below_lower, below_upper = log_ndtr(lower), log_ndtr(upper)
        return below_upper + log1mexp(below_lower - below_upper)
