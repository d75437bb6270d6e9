"""What the densities with a location μ and a scale share: the link of μ, and whose the scale is.

    ln p(x) = ln f((x − μ)/w) − ln w,     w = s·φ^p

f is the density at μ = 0 and w = 1, and p the family's `scale_power`. With `scale=shared` s is 1, and φ is a true
scale, which can be learned or solved: ln C does not depend on η, so that E + β_KL·KL = φ·(−ELBO + ln C) at φ = β_KL.
With `scale=decoder` s is an output of the decoder, ln C depends on it, and φ = 1.
"""

from abc import abstractmethod
from math import inf, log
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from vaekl.data.spec import Support
from vaekl.model.likelihoods.base import Likelihood
from vaekl.model.likelihoods.numerics import bounded_logit, float32_at_least
from vaekl.system.checks import one_of, positive

#: where the output that gives ln s ends: in float32, the square of a larger s, and so the variance, could be infinite
_MOST = 32.0


class LocationScale(Likelihood):
    """Base class; a family writes E, a draw, the mass of a bin, the variance and ln C, the last two at w = 1."""

    accepts: tuple[Support, ...] = ("real", "unit_interval", "binary")
    bounds = (-inf, inf)
    #: p, as of the class: `scale_power` is None where the decoder gives the scale
    power: ClassVar[float]
    #: where the decoder's outputs after the scale begin
    first_others: tuple[float, ...] = ()
    #: E and ln C as equations where the decoder gives the scale
    texts_by_decoder: ClassVar[tuple[str, str]]

    def __init__(
        self,
        link: Literal["identity", "sigmoid"] = "identity",
        scale: Literal["shared", "decoder"] = "shared",
        per: Literal["value", "image"] = "value",
        min_scale: float | Literal["learned"] = 1e-3,
    ) -> None:
        """Fix the link from the decoder to μ, and whose the scale is.

        Args:
            link: how the decoder's output becomes μ; `sigmoid` keeps it inside (0, 1).
            scale: shared: one for all, φ^p; decoder: s is the decoder's second output.
            per: whether the decoder gives one s for each value, or one for each image, the geometric mean of its
                second outputs.
            min_scale: what is added to exp of the decoder's output to give s. Without it ln p has no upper bound: of a
                value that the decoder can say exactly, it grows as −ln s. `learned`: a parameter, from 1e-3.
        """
        self.link = one_of(link, "likelihood.link", ("identity", "sigmoid"))
        self.by_decoder = one_of(scale, "likelihood.scale", ("shared", "decoder")) == "decoder"
        self.per = one_of(per, "likelihood.per", ("value", "image"))
        self.min_scale = min_scale if min_scale == "learned" else positive(min_scale, "likelihood.min_scale")
        if self.by_decoder:
            self.outputs, self.scale_power, self.needs_constant = 2, None, True
            self.energy_text, self.log_norm_const_text = self.texts_by_decoder
            self.dispersion_text = "a factor of the decoder's scale"
            if min_scale == "learned":
                self.log_floor = nn.Parameter(torch.tensor(log(1e-3)))

    @property
    def protocol(self) -> str:
        if not self.by_decoder:
            return super().protocol
        floor = "a learned floor" if self.min_scale == "learned" else f"{self.min_scale:g}"
        return f"the decoder gives one scale per {self.per}, from {floor} to e^{_MOST:g}"

    @property
    def learned_options(self) -> dict[str, float]:
        return {"min_scale": self.log_floor.exp().item()} if self.by_decoder and self.min_scale == "learned" else {}

    def location(self, eta: Tensor) -> Tensor:
        """μ, [B, *S], of η [B, P, *S]."""
        return eta[:, 0].sigmoid() if self.link == "sigmoid" else eta[:, 0]

    def scale(self, eta: Tensor) -> Tensor:
        """s of a decoder that gives it, which broadcasts against [B, *S], of η [B, P, *S]."""
        raw = eta[:, 1]
        if self.per == "image":
            raw = raw.mean(tuple(range(1, raw.ndim)), keepdim=True)
        floor = self.log_floor.exp() if self.min_scale == "learned" else self.min_scale
        return floor + raw.clamp(max=_MOST).exp()

    def offset(self, eta: Tensor, x: Tensor) -> Tensor:
        """(x − μ)/s, [B, *S]."""
        off = x - self.location(eta)
        return off / self.scale(eta) if self.by_decoder else off

    def width(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        """w = s·φ^p; broadcasts against [B, *S]."""
        width = dispersion if self.power == 1 else dispersion**self.power
        return self.scale(eta) * width if self.by_decoder else width

    @abstractmethod
    def unit_log_norm_const(self, eta: Tensor) -> Tensor | float:
        """ln C at w = 1, nats; a number or [B, *S]."""

    @abstractmethod
    def unit_variance(self, eta: Tensor) -> Tensor | float:
        """The variance at w = 1; a number or [B, *S]."""

    @abstractmethod
    def unit_draw(self, eta: Tensor, generator: torch.Generator | None) -> Tensor:
        """One draw at μ = 0 and w = 1, [B, *S]."""

    @abstractmethod
    def unit_log_mass(self, eta: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
        """ln P(lower < X ≤ upper) at μ = 0 and w = 1 of bins that lie mostly below 0, nats; float64 [B, *S].

        Args:
            eta: [B, P, *S], float64.
            lower: the bin's beginning, in widths w above μ, [B, *S].
            upper: its end, [B, *S].
        """

    def log_norm_const(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        constant = self.unit_log_norm_const(eta) - self.power * dispersion.log()
        if self.by_decoder:
            constant = constant - self.scale(eta).log()
        return constant.expand_as(eta[:, 0])

    def mean(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        return self.location(eta)

    def variance(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        return (self.unit_variance(eta) * self.width(eta, dispersion).square()).expand_as(eta[:, 0])

    def sample(self, eta: Tensor, dispersion: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return self.location(eta) + self.width(eta, dispersion) * self.unit_draw(eta, generator)

    def log_mass(self, eta: Tensor, lower: Tensor, upper: Tensor, dispersion: Tensor) -> Tensor:
        exact = eta.double()
        location, width, edges = self.location(exact), self.width(exact, dispersion.double()), []
        for edge in (lower, upper):
            # an infinite edge is left out of the division, where the gradient of the scale would be 0 · ∞
            infinite = edge.isinf()
            edges.append(torch.where(infinite, edge, (edge.masked_fill(infinite, 0) - location) / width))
        # a bin mostly above μ has the mass of its mirror image
        mirrored = edges[0] + edges[1] > 0
        mass = self.unit_log_mass(
            exact, torch.where(mirrored, -edges[1], edges[0]), torch.where(mirrored, -edges[0], edges[1])
        )
        return float32_at_least(mass, eta.dtype)

    def eta_of_mean(self, mean: Tensor) -> Tensor | None:
        # what is best for the scale does not follow from the mean
        if self.outputs > 1:
            return None
        return (bounded_logit(mean) if self.link == "sigmoid" else mean).unsqueeze(0)

    def first_eta(self, mean: Tensor, variance: float) -> Tensor | None:
        # without a link, MNIST's MLP then gives up its latents before it has learned anything (docs/notes.md)
        if not self.by_decoder:
            return self.eta_of_mean(mean) if self.link == "sigmoid" else None
        location = bounded_logit(mean) if self.link == "sigmoid" else torch.zeros_like(mean)
        others = [torch.full_like(mean, first) for first in (0.0, *self.first_others)]
        eta = torch.stack([location, *others])
        eta[1] = 0.5 * (log(max(variance, 1e-12)) - torch.as_tensor(self.unit_variance(eta.unsqueeze(0))).log())
        return eta
