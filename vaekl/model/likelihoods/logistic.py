"""The logistic density."""

from math import log, pi

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from vaekl.model.likelihoods.location_scale import LocationScale
from vaekl.model.likelihoods.tails import log1mexp


class Logistic(LocationScale):
    """Logistic with scale φ: E = 2φ ln cosh((x − μ)/2φ), ln C = −ln(4φ); its variance is π²φ²/3.

    A square near μ and an absolute value far from it. The "log-cosh loss" ln cosh(α(x − μ))/α is this E at φ = 1/(2α),
    without ln C. With the decoder's scale s, of scale sφ.

    Source: Chen, Chen, Zhang 2018, "Log hyperbolic cosine loss improves variational auto-encoder"; `LogCoshVAE` of
    PyTorch-VAE.

    >>> eta, x, one = torch.zeros(1, 1, 1, 1, 1), torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1)
    >>> round(Logistic().log_prob(eta, x, one).item(), 6)
    -1.386294
    """

    name = "logistic"
    dispersion_text = "the scale"
    power = scale_power = 1.0
    energy_depends_on_dispersion = True
    energy_text = "2φ ln cosh((x − μ)/2φ)"
    log_norm_const_text = "−ln(4φ)"
    texts_by_decoder = ("2φ ln cosh((x − μ)/2sφ)", "−ln(4sφ)")

    def energy(self, eta: Tensor, x: Tensor, dispersion: Tensor) -> Tensor:
        # 2 ln cosh(u/2) = |u| + 2 ln(1 + e^−|u|) − 2 ln 2, which never overflows
        distance = self.offset(eta, x).abs()
        return distance + 2 * dispersion * (softplus(-distance / dispersion) - log(2))

    def energy_slope(self, eta: Tensor, x: Tensor, dispersion: Tensor) -> Tensor:
        off = self.offset(eta, x)
        return off * torch.tanh(off / (2 * dispersion))

    def unit_log_norm_const(self, eta: Tensor) -> float:
        return -log(4)

    def unit_variance(self, eta: Tensor) -> float:
        return pi**2 / 3

    def unit_draw(self, eta: Tensor, generator: torch.Generator | None) -> Tensor:
        # the logarithm of a ratio of two exponentials, neither of them 0
        shape = (2, *eta[:, 0].shape)
        two = torch.empty(shape, device=eta.device, dtype=eta.dtype).exponential_(generator=generator)
        logs = two.clamp(min=torch.finfo(eta.dtype).tiny).log()
        return logs[0] - logs[1]

    def unit_log_mass(self, eta: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
        # σ(u) − σ(l) = σ(u) (1 − e^(l−u)) σ(−l)
        return logsigmoid(upper) + log1mexp(lower - upper) + logsigmoid(-lower)
