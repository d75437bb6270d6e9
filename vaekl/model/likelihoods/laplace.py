"""The Laplace density."""

from math import log

import torch
from torch import Tensor

from vaekl.model.likelihoods.location_scale import LocationScale
from vaekl.model.likelihoods.tails import log1mexp


class Laplace(LocationScale):
    """Laplace with scale φ: E = |x − μ|, ln C = −ln(2φ); its variance is 2φ². With the decoder's scale s, of scale sφ.

    >>> eta, x, one = torch.zeros(1, 1, 1, 1, 1), torch.ones(1, 1, 1, 1), torch.ones(1, 1, 1)
    >>> round(Laplace().log_prob(eta, x, one).item(), 6)
    -1.693147
    """

    name = "laplace"
    dispersion_text = "the scale"
    power = scale_power = 1.0
    energy_text = "|x − μ|"
    log_norm_const_text = "−ln(2φ)"
    texts_by_decoder = ("|x − μ|/s", "−ln(2sφ)")

    def energy(self, eta: Tensor, x: Tensor, dispersion: Tensor) -> Tensor:
        return self.offset(eta, x).abs()

    def unit_log_norm_const(self, eta: Tensor) -> float:
        return -log(2)

    def unit_variance(self, eta: Tensor) -> float:
        return 2.0

    def unit_draw(self, eta: Tensor, generator: torch.Generator | None) -> Tensor:
        # a difference of two exponentials; the inverse cdf would be −∞ where torch.rand is exactly 0
        shape = (2, *eta[:, 0].shape)
        two = torch.empty(shape, device=eta.device, dtype=eta.dtype).exponential_(generator=generator)
        return two[0] - two[1]

    def unit_log_mass(self, eta: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
        beside = upper.clamp(max=0) + log1mexp(lower - upper) - log(2)
        around = (-0.5 * (torch.expm1(lower) + torch.expm1(-upper.clamp(min=0)))).log()
        return torch.where(upper > 0, around, beside)
