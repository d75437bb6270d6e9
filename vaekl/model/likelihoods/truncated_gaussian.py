"""The Gaussian on [0, 1] alone."""

import numpy as np
import torch
from torch import Tensor

from vaekl.data.order import numpy_generator
from vaekl.model.likelihoods import truncated_mass
from vaekl.model.likelihoods.derived import MomentsTogether
from vaekl.model.likelihoods.numerics import float32_at_least


class TruncatedGaussian(MomentsTogether):
    """N(μ, φ) truncated to [0, 1]: E = ½(x − μ)², ln C = −½ ln(2πφ) − ln(Φ((1 − μ)/√φ) − Φ(−μ/√φ)).

    μ is any real number, and not the mean. exp(−E/φ) stays in the family, so that φ·λ is the KL's effective weight;
    but ln C depends on μ, so that MSE on grey data without it has another optimum, and the best φ has no closed form.
    No μ stands for another φ, so that φ can be learned.

    Source: Johnson, Kotz, Balakrishnan 1994, Continuous Univariate Distributions 1, section 13.10.1.

    >>> eta, x, phi = torch.zeros(1, 1, 1, 1, 1), torch.ones(1, 1, 1, 1), torch.ones(1, 1, 1)
    >>> round(TruncatedGaussian().log_prob(eta, x, phi).item(), 6)
    -0.344076
    """

    name = "truncated_gaussian"
    accepts = ("unit_interval",)
    weighting = "learned_precision"
    dispersion_text = "the variance before the truncation"
    energy_text = "½(x − μ)²"
    log_norm_const_text = "−½ ln(2πφ) − ln(Φ((1 − μ)/√φ) − Φ(−μ/√φ))"
    mean_note = "the mean of a truncated Gaussian is not its μ, which may lie outside [0, 1]"

    def energy(self, eta: Tensor, x: Tensor, dispersion: Tensor) -> Tensor:
        return 0.5 * (x - eta[:, 0]).square()

    def log_norm_const(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        log_integral, peak = self._over(eta, dispersion)
        return (peak - eta[:, 0]).square() / (2 * dispersion) - log_integral

    def log_prob(self, eta: Tensor, x: Tensor, dispersion: Tensor) -> Tensor:
        # by the difference of squares, where the energy and the constant nearly cancel
        log_integral, peak = self._over(eta, dispersion)
        return (peak - x) * (x + peak - 2 * eta[:, 0]) / (2 * dispersion) - log_integral

    def moments(self, eta: Tensor, dispersion: Tensor) -> tuple[Tensor, Tensor]:
        return truncated_mass.moments(*_of_one_type(eta[:, 0], dispersion, 0.0, 1.0))

    def sample(self, eta: Tensor, dispersion: Tensor, generator: torch.Generator | None = None) -> Tensor:
        # a tenth of a second to import, which every run would take
        from scipy.special import log_ndtr, ndtri_exp

        location, sigma = (part.detach().cpu().double().numpy() for part in (eta[:, 0], dispersion.sqrt()))
        # on the side of μ where Φ is small, whose logarithm keeps its digits
        sign = np.where(location < 0.5, -1.0, 1.0)
        near, far = (np.where(location < 0.5, *ends) - location for ends in ((0.0, 1.0), (1.0, 0.0)))
        below, above = log_ndtr(sign * far / sigma), log_ndtr(sign * near / sigma)
        u = numpy_generator(generator).random(location.shape)
        z = ndtri_exp(np.logaddexp(below + np.log1p(-u), above + np.log(np.maximum(u, 1e-300))))
        return torch.from_numpy(np.clip(location + sign * sigma * z, 0.0, 1.0)).to(eta)

    def log_mass(self, eta: Tensor, lower: Tensor, upper: Tensor, dispersion: Tensor) -> Tensor:
        exact, phi = eta.double(), dispersion.double()
        location = exact[:, 0]
        bin_integral, bin_peak = truncated_mass.log_integral(location, phi, lower.clamp(0, 1), upper.clamp(0, 1))
        integral, peak = self._over(exact, phi)
        fall = (peak - bin_peak) * (peak + bin_peak - 2 * location) / (2 * phi)
        return float32_at_least(bin_integral + fall - integral, eta.dtype)

    def eta_of_mean(self, mean: Tensor) -> Tensor:
        return mean.unsqueeze(0)

    def first_dispersion(self, variance: float) -> float:
        return max(variance, 1e-10)

    def _over(self, eta: Tensor, dispersion: Tensor) -> tuple[Tensor, Tensor]:
        """The integral over [0, 1] relative to its highest value, as a logarithm, and where that is; each [B, *S]."""
        return truncated_mass.log_integral(*_of_one_type(eta[:, 0], dispersion, 0.0, 1.0))


def _of_one_type(location: Tensor, dispersion: Tensor, *ends: float) -> tuple[Tensor, ...]:
    location = float32_at_least(location, location.dtype)
    return location, dispersion.to(location.dtype), *(location.new_full((), end) for end in ends)
