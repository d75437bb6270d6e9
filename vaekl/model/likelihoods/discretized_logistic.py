"""The logistic density's mass of each level, and what a mixture of them takes from it."""

from math import exp, log, pi, sqrt
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import softplus

from vaekl.model.likelihoods.derived import MomentsTogether, WholeLogProb
from vaekl.model.likelihoods.levels import OnLevels
from vaekl.model.likelihoods.numerics import float32_at_least
from vaekl.model.mapped import applied
from vaekl.system.checks import one_of, positive

#: e^5 = 148 times the range of the levels: half of the mass is at either end there
_LARGEST_LOG_SCALE = 5.0
#: values whose moments are added up at a time: on a CPU as many as its cache holds, and of each so many levels
_AT_ONCE, _LEVELS_AT_ONCE = {"cpu": 2**14}, 4


class DiscretizedLogistic(MomentsTogether, WholeLogProb, OnLevels):
    """P(k) = σ((k + ½ − μ)/s) − σ((k − ½ − μ)/s) on {0..K−1}, the tails in the end levels.

    E = −φ ln P(k), ln C = 0. The decoder gives μ, and s is one for all or the decoder's too. Both are in units of the
    range of the levels, as pictures are: in the equation they are (K−1)·η₁ and (K−1)·s. With s = φ, φ is a shape of the
    distribution, which E/φ cannot express: it is learned, and the KL's effective weight is λ.

    Source: Kingma et al. 2016 ("IAF"), section 5.2; Salimans et al. 2017 ("PixelCNN++"), section 2.1.

    >>> eta, x, phi = torch.zeros(1, 1, 1, 1, 1), torch.zeros(1, 1, 1, 1), torch.full((1, 1, 1), 0.5)
    >>> round(DiscretizedLogistic(levels=3).log_prob(eta, x, phi).item(), 6)  # ln σ(½/(2 · 0.5))
    -0.474077
    """

    name = "discretized_logistic"
    weighs_energy = False
    energy_depends_on_dispersion = True
    weighting: str | None = "learned_precision"
    dispersion_text = "the scale, where levels are k/(levels − 1)"
    energy_text = "−ln[σ((x + ½ − μ)/s) − σ((x − ½ − μ)/s)]"

    def __init__(
        self, scale: Literal["shared", "decoder"] = "shared", min_scale: float = 5e-4, levels: int = 0
    ) -> None:
        """Fix whose the scale is.

        Args:
            scale: shared: s = φ, one for all; decoder: s is the decoder's second output, and φ = 1.
            min_scale: the smallest s that the decoder can give, over the range of the levels; that of PixelCNN++.
            levels: K; 0 takes it from the data.
        """
        super().__init__(levels)
        self.by_decoder = one_of(scale, "likelihood.scale", ("shared", "decoder")) == "decoder"
        self.min_scale = positive(min_scale, "likelihood.min_scale")
        if self.by_decoder:
            self.outputs, self.weighs_energy, self.weighting = 2, True, None
            self.dispersion_text = "1, as the decoder gives the scale"

    @property
    def protocol(self) -> str:
        return f"the decoder gives the scale, at least {self.min_scale:g}" if self.by_decoder else super().protocol

    def check_dispersion(self, dispersion: float) -> None:
        super().check_dispersion(dispersion)
        if self.by_decoder:
            self.refuse_dispersion(dispersion, "the decoder gives each scale", "likelihood.scale=shared")

    def logistic(self, eta: Tensor, dispersion: Tensor) -> "Logistics":
        """The density whose mass the levels have; [B, *S]."""
        log_scale = floored(eta[:, 1], self.min_scale) if self.by_decoder else dispersion.log()
        return Logistics(eta[:, 0], log_scale, self.levels)

    def log_prob(self, eta: Tensor, x: Tensor, dispersion: Tensor) -> Tensor:
        return self.logistic(eta, dispersion).log_mass(x, x)

    def moments(self, eta: Tensor, dispersion: Tensor) -> tuple[Tensor, Tensor]:
        return self.logistic(eta, dispersion).moments()

    def sample(self, eta: Tensor, dispersion: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return self.logistic(eta, dispersion).draw(generator)

    def log_mass(self, eta: Tensor, lower: Tensor, upper: Tensor, dispersion: Tensor) -> Tensor:
        logistic = self.logistic(eta.double(), dispersion.double())
        return float32_at_least(logistic.log_mass_between(lower, upper), eta.dtype)

    def eta_of_mean(self, mean: Tensor) -> Tensor | None:
        return None if self.by_decoder else (mean / (self.levels - 1)).unsqueeze(0)

    def first_eta(self, mean: Tensor, variance: float) -> Tensor | None:
        # as for a Gaussian without a link, a location at the training mean is no help
        if not self.by_decoder:
            return None
        return torch.stack([torch.zeros_like(mean), torch.full_like(mean, log(self.first_dispersion(variance)))])

    def first_dispersion(self, variance: float) -> float:
        """The scale of a logistic density of this variance."""
        return sqrt(3 * max(variance, 1e-10)) / pi / max(self.levels - 1, 1)


class Logistics(NamedTuple):
    """Logistic densities, in units of the range of the levels, each of whose masses the levels have.

    Args:
        location: μ, of any shape.
        log_scale: ln s, which broadcasts against it.
        levels: K.
    """

    location: Tensor
    log_scale: Tensor
    levels: int

    def log_mass(self, first: Tensor, last: Tensor) -> Tensor:
        """ln P(first ≤ X ≤ last) of levels that broadcast against μ, nats.

        σ(b) − σ(a) is σ(b) σ(−a) (1 − e^(a − b)), whose factors keep their digits in both tails.
        """
        # torch.compile takes no tensor twice, and one level is its own first and last
        last = last.view_as(last)
        result: Tensor = applied(_LogMass, self.location, self.log_scale, first, last, self.levels - 1)
        return result

    def log_mass_between(self, lower: Tensor, upper: Tensor) -> Tensor:
        """ln P(lower < X ≤ upper) of any edges; −∞ where no level lies between them."""
        first = (lower.floor() + 1).clamp(0, self.levels - 1)
        last = upper.floor().clamp(0, self.levels - 1)
        empty = (last < first) | (lower >= self.levels - 1) | (upper < 0)
        mass = self.log_mass(first, torch.maximum(first, last))
        return mass.masked_fill(empty, -torch.inf)

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and variance, in levels; sums over all levels of P(X < k) up to the middle c, and of P(X ≥ k) beyond.

        E[X − c] is Σ P(X ≥ k) − Σ P(X < k), and E[(X − c)²] the sum of these with the weights 2|k − c − ½|, all of
        them positive, so that neither a sure level nor a rare one loses its digits.
        """
        location, per_level = torch.broadcast_tensors(self.location * (self.levels - 1), self._per_level)
        at_once = _AT_ONCE.get(location.device.type, 2**20)
        # a graph that is exported has one number of parts for all batches
        together = torch.compiler.is_exporting()
        flat = (part.flatten() for part in (location, per_level))
        parts = ((part,) if together else part.split(at_once) for part in flat)
        each = [self._moments_of(*part) for part in zip(*parts, strict=True)]
        mean, variance = (torch.cat(moment).view(location.shape) for moment in zip(*each, strict=True))
        return mean, variance

    def _moments_of(self, location: Tensor, per_level: Tensor) -> tuple[Tensor, Tensor]:
        """The same for some values, [n], whose location is in levels."""
        centre = location.round().clamp(0, self.levels - 1)
        first, second = torch.zeros_like(location), torch.zeros_like(location)
        for start in range(1, self.levels, _LEVELS_AT_ONCE):
            k = torch.arange(start, min(start + _LEVELS_AT_ONCE, self.levels), device=location.device)
            off = k.unsqueeze(1) - 0.5 - centre
            sign = off.sign()
            tail = ((location - centre - off) * per_level * sign).sigmoid()
            first += (tail * sign).sum(0)
            second += (tail * off.abs()).sum(0)
        return centre + first, 2 * second - first.square()

    def inside(self) -> Tensor:
        """The mass of the density between the first level and the last."""
        below, above = self.location * (self.levels - 1), (1 - self.location) * (self.levels - 1)
        return (below * self._per_level).sigmoid() + (above * self._per_level).sigmoid() - 1

    def draw(self, generator: torch.Generator | None) -> Tensor:
        """One level of each."""
        location, per_level = torch.broadcast_tensors(self.location * (self.levels - 1), self._per_level)
        u = torch.rand(location.shape, generator=generator, device=location.device, dtype=location.dtype)
        # torch.rand may be exactly 0
        draw: Tensor = location + torch.logit(u, eps=torch.finfo(u.dtype).tiny) / per_level
        return draw.round().clamp(0, self.levels - 1)

    @property
    def _per_level(self) -> Tensor:
        return (-self.log_scale).exp() / (self.levels - 1)


def floored(raw: Tensor, least: float) -> Tensor:
    """ln s = ln(least + e^raw) of a decoder's output, of any shape; e^raw is not above 148."""
    above: Tensor = softplus(raw.clamp(max=_LARGEST_LOG_SCALE) - log(least), threshold=40)
    return log(least) + above


class _LogMass(torch.autograd.Function):
    """ln σ(b) + ln σ(−a) + ln(1 − e^−d), d = b − a, without the parts of an edge that the first or last level lacks."""

    @staticmethod
    def forward(ctx: Any, location: Tensor, log_scale: Tensor, first: Tensor, last: Tensor, top: int) -> Tensor:
        # in place where it can be: fresh memory takes as long as most of these functions
        start = first.to(location.dtype)
        end = start if last is first else last.to(location.dtype)
        # 0 for the levels at either end, else 1
        above_first, below_last = start.clamp(0, 1), (top - end).clamp_(0, 1)
        both = above_first * below_last
        per_level, centre = (-log_scale).exp_().div_(top), location * top
        minus_b, a = ((side - 0.5) * per_level for side in (centre - end, start - centre))
        log_width, d = (-log_scale).sub_(log(top)), per_level
        if last is not first:
            count = end - start + 1
            log_width, d = log_width + count.log(), d * count
        d = d.clamp(exp(-40), exp(6))
        # (1 − e^−d)/d, by which ln d is off; both keep their digits where d is small
        off = (-d).expm1_().div_(d).neg_()
        inner = off.log().add_(log_width.clamp_(max=6))
        result = softplus(minus_b, threshold=40).mul_(below_last).addcmul_(softplus(a, threshold=40), above_first)
        result.neg_().addcmul_(inner, both)
        if any(ctx.needs_input_grad):
            at_b, at_a = minus_b.sigmoid().mul_(below_last), a.sigmoid().mul_(above_first)
            to_scale = minus_b.mul_(at_b).addcmul_(a, at_a).addcmul_(off.reciprocal_().sub_(d), both, value=-1)
            ctx.shapes = location.shape, log_scale.shape
            ctx.save_for_backward(at_a.sub_(at_b).mul_(per_level).mul_(top), to_scale)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        to_location, to_scale = ctx.saved_tensors
        of_location, of_scale = ctx.shapes
        return (
            (grad * to_location).sum_to_size(of_location),
            (grad * to_scale).sum_to_size(of_scale),
            None,
            None,
            None,
        )
