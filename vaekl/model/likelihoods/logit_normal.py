"""The logit-normal density on (0, 1)."""

from math import cosh, exp, pi, sqrt
from typing import Literal

import torch
from torch import Tensor

from vaekl.data.spec import DataSpec
from vaekl.model.likelihoods.derived import MomentsTogether
from vaekl.model.likelihoods.gaussian import Gaussian
from vaekl.model.likelihoods.numerics import bounded_logit

#: from this σ on the moments are integrals over the logistic density, below it over the normal
_WIDE = 1.5
#: nodes of a trapezoid, and where it ends in z and in l: the rules' errors are below 1e-14, and 3e-8 in float32
_RULES = {torch.float64: (141, 9.0, 36.0), torch.float32: (45, 6.5, 19.0)}


class LogitNormal(MomentsTogether, Gaussian):
    """x = sigmoid(y), y ~ N(μ, φ): E = ½(logit x − μ)² + φ ln(x(1−x)), ln C = −½ ln(2πφ).

    The Jacobian x(1−x) is part of E, since it depends on x; it is not divided by φ, and so E depends on φ. ln C does
    not depend on μ: φ is a true scale, that of the logits, and the best φ is the mean of (logit x − μ)². With the
    decoder's scale s the logits have the variance s²φ.

    Source: Atchison, Shen 1980, "Logistic-normal distributions: some properties and uses".

    >>> eta, x, phi = torch.zeros(1, 1, 1, 1, 1), torch.full((1, 1, 1, 1), 0.5), torch.ones(1, 1, 1)
    >>> round(LogitNormal().log_prob(eta, x, phi).item(), 6)  # −½ ln(2π) + ln 4
    0.467356
    """

    name = "logit_normal"
    accepts = ("unit_interval",)
    bounds = (0.0, 1.0)
    open_support = True
    energy_depends_on_dispersion = True
    dispersion_text = "the variance of the logits"
    energy_text = "½(logit x − μ)² + φ ln(x(1−x))"
    texts_by_decoder = ("½((logit x − μ)/s)² + φ ln(x(1−x))", "−½ ln(2πs²φ)")
    mean_note = "the mean of a logit-normal is not the sigmoid of its μ, which is its median"

    def __init__(
        self,
        scale: Literal["shared", "decoder"] = "shared",
        per: Literal["value", "image"] = "value",
        min_scale: float | Literal["learned"] = 1e-3,
    ) -> None:
        """Fix whose the scale of the logits is, as for a Gaussian."""
        super().__init__("identity", scale, per, min_scale)

    def needs_every_value(self, spec: DataSpec) -> bool:
        # at a single 0 or 1 the energy is infinite; dequantized values lie inside (0, 1)
        return not spec.dequantized

    def check_support(self, x: Tensor) -> None:
        super().check_support(x)
        self.check_open(x)

    def energy(self, eta: Tensor, x: Tensor, dispersion: Tensor) -> Tensor:
        log_x, log_rest = x.log(), torch.log1p(-x)
        return super().energy(eta, log_x - log_rest, dispersion) + dispersion * (log_x + log_rest)

    def energy_slope(self, eta: Tensor, x: Tensor, dispersion: Tensor) -> Tensor:
        return super().energy(eta, x.logit(), dispersion)

    def energy_at_rmse(self, rmse: float) -> None:
        return None

    def moments(self, eta: Tensor, dispersion: Tensor) -> tuple[Tensor, Tensor]:
        return _moments(*torch.broadcast_tensors(self.location(eta), self.width(eta, dispersion)))

    def sample(self, eta: Tensor, dispersion: Tensor, generator: torch.Generator | None = None) -> Tensor:
        draw = super().sample(eta, dispersion, generator).sigmoid()
        # rounded, a draw may be an end
        return draw.clamp(torch.finfo(draw.dtype).tiny, 1 - torch.finfo(draw.dtype).eps / 2)

    def log_mass(self, eta: Tensor, lower: Tensor, upper: Tensor, dispersion: Tensor) -> Tensor:
        return super().log_mass(eta, lower.clamp(0, 1).logit(), upper.clamp(0, 1).logit(), dispersion)

    def eta_of_mean(self, mean: Tensor) -> Tensor | None:
        return None if self.by_decoder else bounded_logit(mean).unsqueeze(0)

    def first_eta(self, mean: Tensor, variance: float) -> Tensor | None:
        return self.eta_of_mean(mean)


def _moments(location: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of sigmoid(μ + σz), z standard normal; of any shape.

    A trapezoid over z of sigmoid(μ + σz) converges as e^(−2π²/σh) with its step h, since the sigmoid has poles at ±iπ.
    For a large σ the same mean is E[Φ((μ − l)/σ)] over the logistic l, and E[sigmoid'] the logistic density's mean.
    """
    nodes, far, farther = _RULES[location.dtype]
    # each rule within its own range: beyond, it overflows, and would leave no gradient
    narrow, wide = sigma.clamp(max=_WIDE), sigma.clamp(min=_WIDE)
    centre = location.sigmoid()
    first, second, mean, spared = (torch.zeros_like(location) for _ in range(4))
    for node in range(nodes):
        at = 2 * node / (nodes - 1) - 1
        z, level = at * far, at * farther
        weight = 2 * far / (nodes - 1) * exp(-0.5 * z**2) / sqrt(2 * pi)
        # sigmoid(μ + σz) − sigmoid(μ)
        off = torch.expm1(narrow * z) * centre * (-location - narrow * z).sigmoid()
        first.add_(off, alpha=weight)
        second.addcmul_(off, off, value=weight)
        weight = 2 * farther / (nodes - 1) / (2 + 2 * cosh(level))
        z_of_level = (location - level) / wide
        mean.add_(torch.special.ndtr(z_of_level), alpha=weight)
        spared.add_(torch.exp(-0.5 * z_of_level.square()) / wide, alpha=weight / sqrt(2 * pi))
    is_narrow = sigma < _WIDE
    return (
        torch.where(is_narrow, centre + first, mean),
        torch.where(is_narrow, second - first.square(), (mean * (1 - mean) - spared).clamp(min=0)),
    )
