"""A mixture of discretized logistics over a pixel's levels."""

from math import log, pi
from typing import Literal

import torch
from torch import Tensor

from vaekl.data.spec import DataSpec
from vaekl.model.likelihoods.derived import MomentsTogether, WholeLogProb
from vaekl.model.likelihoods.discretized_logistic import Logistics, floored
from vaekl.model.likelihoods.levels import OnLevels
from vaekl.model.likelihoods.numerics import float32_at_least
from vaekl.system.checks import one_of, positive, whole
from vaekl.system.errors import VaeklError

#: K up to which the moments of coupled channels are summed over all levels, which takes K² evaluations of a channel
_FEW_LEVELS = 8


class LogisticMixture(MomentsTogether, WholeLogProb, OnLevels):
    """P(k) = Σ wⱼ [σ((k + ½ − μⱼ)/sⱼ) − σ((k − ½ − μⱼ)/sⱼ)] on {0..K−1}, the tails in the end levels; φ = 1.

    E = −φ ln P(k), ln C = 0. For each value the decoder gives the logits of wⱼ, all μⱼ and all ln sⱼ, in this order; μ
    and s are in units of the range of the levels. With independent channels every value has a distribution of its own,
    given z. Coupled, the three channels of a pixel have one:

        P(r, g, b) = Σ wⱼ P(r; μ₁ⱼ) P(g; μ₂ⱼ + c₁ⱼ r) P(b; μ₃ⱼ + c₂ⱼ r + c₃ⱼ g)

    with r and g counted from the middle of the range, and c the tanh of a fourth output of the three values. The logits
    of a pixel are the averages of those of its values. −ln P of a pixel is laid on its values by the chain rule: red's
    is its own, green's is given red, and blue's given both.

    Source: Salimans et al. 2017 ("PixelCNN++"), section 2.1 and equation 3; c and its units as in their code.

    >>> eta, x, one = torch.zeros(1, 6, 1, 1, 1), torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1)
    >>> round(LogisticMixture(components=2, levels=3).log_prob(eta, x, one).item(), 6)  # ln σ(½/(2 · 1.0005))
    -0.575994
    """

    name = "logistic_mixture"
    energy_depends_on_dispersion = True
    dispersion_text = "1, as the decoder gives the scales"
    energy_text = "−ln Σ w [σ((x + ½ − μ)/s) − σ((x − ½ − μ)/s)]"

    def __init__(
        self,
        components: int = 5,
        min_scale: float = 5e-4,
        levels: int = 0,
        channels: Literal["independent", "coupled"] = "independent",
    ) -> None:
        """Fix the number of logistics, and whether a pixel's channels are modelled together.

        Args:
            components: how many for each value.
            min_scale: the smallest s that the decoder can give, over the range of the levels; that of PixelCNN++.
            levels: K; 0 takes it from the data.
            channels: independent, given z, or coupled: red, green and blue of a pixel have one distribution.
        """
        super().__init__(levels)
        self.components = whole(components, "likelihood.components", 1, 1000)
        self.min_scale = positive(min_scale, "likelihood.min_scale")
        self.coupled = one_of(channels, "likelihood.channels", ("independent", "coupled")) == "coupled"
        self.outputs = (4 if self.coupled else 3) * self.components
        if self.coupled:
            self.energy_text = "−ln Σ w ∏ [σ((x + ½ − μ)/s) − σ((x − ½ − μ)/s)], ∏ over a pixel's channels"

    @property
    def protocol(self) -> str:
        scales = f"the decoder gives {self.components} scales, at least {self.min_scale:g}"
        if not self.coupled:
            return scales
        if 0 < self.levels <= _FEW_LEVELS:
            return f"{scales}; a pixel's channels have one distribution"
        return (
            f"{scales}; a pixel's channels have one distribution, whose means and variances of green and blue, as in σ "
            "and RMSE, are approximate where they reach an end of the range"
        )

    @property
    def has_log_mass(self) -> bool:
        # the mass of a green or blue level, whatever the others are, is a sum over all of theirs
        return not self.coupled

    def check_spec(self, spec: DataSpec) -> None:
        super().check_spec(spec)
        if self.coupled and (len(spec.shape) != 3 or spec.shape[0] != 3):
            raise VaeklError(
                f"likelihood.channels=coupled is for images with 3 channels, but the {spec.example}s of "
                f"dataset={spec.name} have the shape {spec.shape}: use likelihood.channels=independent."
            )

    def check_dispersion(self, dispersion: float) -> None:
        super().check_dispersion(dispersion)
        self.refuse_dispersion(dispersion, "the decoder gives each scale", "likelihood=discretized_logistic")

    def log_prob(self, eta: Tensor, x: Tensor, dispersion: Tensor) -> Tensor:
        log_weight, logistics = self._mixture(eta)
        level = x.unsqueeze(1)
        if not self.coupled:
            return (log_weight + logistics.log_mass(level, level)).logsumexp(1)
        at = level.to(eta.dtype) / (self.levels - 1)
        moved = logistics.location + self._shift(eta, at[:, :, 0], at[:, :, 1])
        mass = logistics._replace(location=moved).log_mass(level, level)
        before = torch.cat([torch.zeros_like(mass[:, :, :1]), mass[:, :, :-1].cumsum(2)], 2)
        # the weights of the components once the channels before are known
        return ((log_weight + before).log_softmax(1) + mass).logsumexp(1)

    def moments(self, eta: Tensor, dispersion: Tensor) -> tuple[Tensor, Tensor]:
        log_weight, logistics = self._mixture(eta)
        weight, (means, variances) = log_weight.exp(), self._of_each(eta, logistics)
        mean = (weight * means).sum(1)
        return mean, (weight * (variances + (means - mean.unsqueeze(1)).square())).sum(1)

    def sample(self, eta: Tensor, dispersion: Tensor, generator: torch.Generator | None = None) -> Tensor:
        log_weight, logistics = self._mixture(eta)
        weight = log_weight.exp().movedim(1, -1)
        which = torch.multinomial(weight.reshape(-1, self.components), 1, generator=generator)
        which = which.view(weight.shape[:-1]).unsqueeze(1).expand(-1, 1, *eta.shape[2:])
        location, log_scale = (part.gather(1, which).squeeze(1) for part in logistics[:2])
        if not self.coupled:
            return Logistics(location, log_scale, self.levels).draw(generator)
        draws = torch.zeros_like(location)
        for channel in range(3):
            at = draws.unsqueeze(1) / (self.levels - 1)
            shift = self._shift(eta, at[:, :, 0], at[:, :, 1]).gather(1, which).squeeze(1)
            one = Logistics((location + shift)[:, channel], log_scale[:, channel], self.levels)
            draws[:, channel] = one.draw(generator)
        return draws

    def log_mass(self, eta: Tensor, lower: Tensor, upper: Tensor, dispersion: Tensor) -> Tensor:
        if self.coupled:
            return super().log_mass(eta, lower, upper, dispersion)
        log_weight, logistics = self._mixture(eta.double())
        each = logistics.log_mass_between(lower.unsqueeze(1), upper.unsqueeze(1))
        return float32_at_least((log_weight + each).logsumexp(1), eta.dtype)

    def first_eta(self, mean: Tensor, variance: float) -> Tensor:
        # components that begin alike would stay alike but for the network's first weights
        each = (torch.arange(self.components, device=mean.device) + 0.5) / self.components
        centres = each.view(-1, *[1] * mean.ndim).expand(-1, *mean.shape)
        widths = torch.full_like(centres, -log(2 * self.components))
        coefficients = [torch.zeros_like(centres)] if self.coupled else []
        return torch.cat([torch.zeros_like(centres), centres, widths, *coefficients])

    def _mixture(self, eta: Tensor) -> tuple[Tensor, Logistics]:
        """ln wⱼ and the logistics, each [B, components, *S]; coupled, ln wⱼ has one channel."""
        logit, location, raw = eta.unflatten(1, (-1, self.components))[:, :3].unbind(1)
        if self.coupled:
            logit = logit.mean(2, keepdim=True)
        return logit.log_softmax(1), Logistics(location, floored(raw, self.min_scale), self.levels)

    def _coefficients(self, eta: Tensor) -> tuple[Tensor, ...]:
        """c₁, c₂ and c₃, each [B, components, H, W]."""
        return eta[:, 3 * self.components :].tanh().unbind(2)

    def _shift(self, eta: Tensor, red: Tensor, green: Tensor) -> Tensor:
        """What red and green, over the range of the levels, add to the locations, [B, components, 3, H, W]."""
        to_green, to_blue, from_green = self._coefficients(eta)
        red, green = red - 0.5, green - 0.5
        return torch.stack([torch.zeros_like(to_green), to_green * red, to_blue * red + from_green * green], 2)

    def _of_each(self, eta: Tensor, logistics: Logistics) -> tuple[Tensor, Tensor]:
        """Mean and variance of each component, [B, components, *S].

        Coupled, a channel's density before it is cut at the ends is taken for a logistic one of its mean and variance,
        where there are more than a few levels: exact where nothing reaches an end. Of a model of CIFAR-10
        (docs/figures.md) the variances of green and blue were 4 % and 7 % too small.
        """
        if not self.coupled:
            return logistics.moments()
        if self.levels <= _FEW_LEVELS:
            return self._of_each_exactly(eta, logistics)
        to_green, to_blue, from_green = self._coefficients(eta)
        location, log_scale = logistics.location.unbind(2), logistics.log_scale.unbind(2)
        unit = self.levels - 1

        def moments(channel: int, shift: Tensor, variance: Tensor) -> tuple[Tensor, Tensor, Logistics]:
            # π²/3 s² is a logistic density's variance
            wide = 0.5 * ((2 * log_scale[channel]).exp() + 3 / pi**2 * variance.clamp(min=0)).log()
            law = Logistics(location[channel] + shift, wide, self.levels)
            mean, spread = law.moments()
            return mean / unit, spread / unit**2, law

        zero = torch.zeros_like(to_green)
        red, of_red, _ = moments(0, zero, zero)
        green, of_green, law = moments(1, to_green * (red - 0.5), to_green.square() * of_red)
        together = to_green * of_red * law.inside()
        spread = to_blue.square() * of_red + from_green.square() * of_green + 2 * to_blue * from_green * together
        blue, of_blue, _ = moments(2, to_blue * (red - 0.5) + from_green * (green - 0.5), spread)
        return unit * torch.stack([red, green, blue], 2), unit**2 * torch.stack([of_red, of_green, of_blue], 2)

    def _of_each_exactly(self, eta: Tensor, logistics: Logistics) -> tuple[Tensor, Tensor]:
        """The same of coupled components, by sums over the levels that red and green may have."""
        location, log_scale = logistics.location.unbind(2), logistics.log_scale.unbind(2)
        levels = [torch.full_like(location[0], level) for level in range(self.levels)]

        def law(channel: int, red: Tensor, green: Tensor) -> Logistics:
            shift = self._shift(eta, red / (self.levels - 1), green / (self.levels - 1))[:, :, channel]
            return Logistics(location[channel] + shift, log_scale[channel], self.levels)

        sums = [torch.zeros_like(part) for part in (*location, *location)]
        for red in levels:
            of_red = law(0, red, red).log_mass(red, red).exp()
            of_green = law(1, red, red)
            parts = [(0, of_red, red, torch.zeros_like(red)), (1, of_red, *of_green.moments())]
            for green in levels:
                of_both = of_red * of_green.log_mass(green, green).exp()
                parts.append((2, of_both, *law(2, red, green).moments()))
            for channel, weight, mean, variance in parts:
                sums[channel] += weight * mean
                sums[channel + 3] += weight * (variance + mean.square())
        means, squares = torch.stack(sums[:3], 2), torch.stack(sums[3:], 2)
        return means, (squares - means.square()).clamp(min=0)
