"""The Gaussian whose tails beyond [0, 1] are probabilities of 0 and of 1."""

from math import inf, log, pi
from typing import Literal

import torch
from torch import Tensor

from vaekl.model.likelihoods import truncated_mass
from vaekl.model.likelihoods.derived import MomentsTogether, WholeLogProb
from vaekl.model.likelihoods.gaussian import Gaussian
from vaekl.model.likelihoods.numerics import float32_at_least
from vaekl.model.likelihoods.tails import log_ndtr


class CensoredGaussian(MomentsTogether, WholeLogProb, Gaussian):
    """x = y moved to the nearest point of [0, 1], y ~ N(μ, φ): the Tobit model. E = −φ ln p, ln C = 0.

        p(x) = N(x; μ, φ) for 0 < x < 1,     P(0) = Φ(−μ/√φ),     P(1) = Φ((μ − 1)/√φ)

    p is a density with respect to length inside and to counting at the two ends, and nats are with respect to that
    measure: they are not comparable with those of a density, nor with those of a probability. What a Gaussian gives to
    the bins of the fair ruler, whose end bins take the tails, is what this law gives to them.

    The ends stay where they are, so that φ is a shape of the law, which is learned; with the decoder's scale s the
    variance of y is s²φ.

    Source: Tobin 1958, "Estimation of relationships for limited dependent variables".

    >>> eta, x, one = torch.zeros(1, 1, 1, 1, 1), torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1)
    >>> round(CensoredGaussian().log_prob(eta, x, one).item(), 6)  # ln ½
    -0.693147
    """

    name = "censored_gaussian"
    accepts = ("unit_interval",)
    bounds = (0.0, 1.0)
    atoms = (0.0, 1.0)
    scale_power = None
    weighs_energy = False
    energy_depends_on_dispersion = True
    weighting: str | None = "learned_precision"
    dispersion_text = "the variance before the tails are folded into 0 and 1"
    energy_text = "−ln p: of N(μ, φ) inside (0, 1), of its tails at 0 and 1"
    log_norm_const_text = "0"
    texts_by_decoder = ("−ln p: of N(μ, s²φ) inside (0, 1), of its tails at 0 and 1", "0")
    mean_note = "the mean of a censored Gaussian is not its μ, which may lie outside [0, 1]"

    def __init__(
        self,
        scale: Literal["shared", "decoder"] = "shared",
        per: Literal["value", "image"] = "value",
        min_scale: float | Literal["learned"] = 1e-3,
    ) -> None:
        """Fix whose the scale is, as for a Gaussian."""
        super().__init__("identity", scale, per, min_scale)
        if self.by_decoder:
            self.weighs_energy, self.weighting, self.needs_constant = True, None, False

    @property
    def protocol(self) -> str:
        measure = "a density inside (0, 1) beside probabilities of 0 and 1: nats of that measure alone"
        return f"{measure}; {super().protocol}" if self.by_decoder else measure

    def log_prob(self, eta: Tensor, x: Tensor, dispersion: Tensor) -> Tensor:
        location, width = self._law(eta, dispersion)
        inside = -0.5 * ((x - location) / width).square() - width.log() - 0.5 * log(2 * pi)
        at_end = (x <= 0) | (x >= 1)
        return torch.where(at_end, log_ndtr(torch.where(x <= 0, -location, location - 1) / width), inside)

    def energy_at_rmse(self, rmse: float) -> None:
        return None

    def moments(self, eta: Tensor, dispersion: Tensor) -> tuple[Tensor, Tensor]:
        is_low, (end, near, far), (inside, spread) = self._parts(eta, dispersion)
        mean = far + near * inside
        variance = end * mean.square() + far * (1 - mean).square() + near * (spread + (inside - mean).square())
        return torch.where(is_low, mean, 1 - mean), variance

    def sample(self, eta: Tensor, dispersion: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return super().sample(eta, dispersion, generator).clamp(0, 1)

    def log_mass(self, eta: Tensor, lower: Tensor, upper: Tensor, dispersion: Tensor) -> Tensor:
        # a bin with an end of [0, 1] in it has the tail beyond; one beyond the ends has nothing
        empty = (upper < 0) | (lower >= 1)
        lower, upper = lower.masked_fill(lower < 0, -inf), upper.masked_fill(upper >= 1, inf)
        mass = super().log_mass(eta, lower.masked_fill(empty, -inf), upper.masked_fill(empty, inf), dispersion)
        return mass.masked_fill(empty, -inf)

    def first_dispersion(self, variance: float) -> float:
        return max(variance, 1e-10)

    def _law(self, eta: Tensor, dispersion: Tensor) -> tuple[Tensor, Tensor]:
        """μ and σ of y, float32 at least."""
        location = self.location(eta)
        return float32_at_least(location, eta.dtype), float32_at_least(self.width(eta, dispersion), eta.dtype)

    def _parts(self, eta: Tensor, dispersion: Tensor) -> tuple[Tensor, tuple[Tensor, ...], tuple[Tensor, ...]]:
        """The law as seen from the end that is nearer to μ, so that small figures keep their digits.

        Returns:
            Whether that end is 0; the probabilities of that end, of what lies between and of the other end; mean and
            variance of what lies between, the mean counted from that end.
        """
        location, width = torch.broadcast_tensors(*self._law(eta, dispersion))
        is_low = location < 0.5
        location = torch.where(is_low, location, 1 - location)
        ends = location.new_full((), 0.0), location.new_full((), 1.0)
        log_integral, peak = truncated_mass.log_integral(location, width.square(), *ends)
        log_peak = -0.5 * ((peak - location) / width).square() - width.log() - 0.5 * log(2 * pi)
        masses = (
            log_ndtr(-location / width).exp(),
            (log_integral + log_peak).exp(),
            log_ndtr((location - 1) / width).exp(),
        )
        return is_low, masses, truncated_mass.moments(location, width.square(), *ends)
