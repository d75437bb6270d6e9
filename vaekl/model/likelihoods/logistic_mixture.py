"""A mixture of discretized logistics over a pixel's levels."""

from math import log

import torch
from torch import Tensor

from vaekl.model.likelihoods.base import float32_at_least
from vaekl.model.likelihoods.discretized_logistic import Logistics, floored
from vaekl.model.likelihoods.levels import OnLevels
from vaekl.system.checks import positive, whole


class LogisticMixture(OnLevels):
    """P(k) = Σ wⱼ [σ((k + ½ − μⱼ)/sⱼ) − σ((k − ½ − μⱼ)/sⱼ)] on {0..K−1}, the tails in the end levels; φ = 1.

    E = −φ ln P(k), ln C = 0. For each value the decoder gives the logits of wⱼ, all μⱼ and all ln sⱼ, in this order; μ
    and s are in units of the range of the levels. In PixelCNN++ the means of green and blue depend on the red and green
    of the same pixel; here every value has a distribution of its own, given z.

    Source: Salimans et al. 2017 ("PixelCNN++"), section 2.1.

    >>> eta, x, one = torch.zeros(1, 6, 1, 1, 1), torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1)
    >>> round(LogisticMixture(components=2, levels=3).log_prob(eta, x, one).item(), 6)  # ln σ(½/(2 · 1.0005))
    -0.575994
    """

    name = "logistic_mixture"
    energy_depends_on_dispersion = True
    dispersion_text = "1, as the decoder gives the scales"
    energy_text = "−ln Σ w [σ((x + ½ − μ)/s) − σ((x − ½ − μ)/s)]"

    def __init__(self, components: int = 5, min_scale: float = 5e-4, levels: int = 0) -> None:
        """Fix the number of logistics.

        Args:
            components: how many for each value.
            min_scale: the smallest s that the decoder can give, over the range of the levels; that of PixelCNN++.
            levels: K; 0 takes it from the data.
        """
        super().__init__(levels)
        self.components = whole(components, "likelihood.components", 1, 1000)
        self.min_scale = positive(min_scale, "likelihood.min_scale")
        self.outputs = 3 * self.components

    @property
    def protocol(self) -> str:
        return f"the decoder gives {self.components} scales, at least {self.min_scale:g}"

    def check_dispersion(self, dispersion: float) -> None:
        super().check_dispersion(dispersion)
        self.refuse_dispersion(dispersion, "the decoder gives each scale", "likelihood=discretized_logistic")

    def log_prob(self, eta: Tensor, x: Tensor, dispersion: Tensor) -> Tensor:
        log_weight, logistics = self._mixture(eta)
        level = x.unsqueeze(1)
        return (log_weight + logistics.log_mass(level, level)).logsumexp(1)

    def energy(self, eta: Tensor, x: Tensor, dispersion: Tensor) -> Tensor:
        return -dispersion * self.log_prob(eta, x, dispersion)

    def log_norm_const(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        return torch.zeros_like(eta[:, 0])

    def mean(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        return self._moments(eta)[0]

    def variance(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        return self._moments(eta)[1]

    def sample(self, eta: Tensor, dispersion: Tensor, generator: torch.Generator | None = None) -> Tensor:
        log_weight, logistics = self._mixture(eta)
        weight = log_weight.exp().movedim(1, -1)
        which = torch.multinomial(weight.reshape(-1, self.components), 1, generator=generator)
        which = which.view(weight.shape[:-1]).unsqueeze(1)
        location, log_scale = (part.gather(1, which).squeeze(1) for part in logistics[:2])
        return Logistics(location, log_scale, self.levels).draw(generator)

    def log_mass(self, eta: Tensor, lower: Tensor, upper: Tensor, dispersion: Tensor) -> Tensor:
        log_weight, logistics = self._mixture(eta.double())
        each = logistics.log_mass_between(lower.unsqueeze(1), upper.unsqueeze(1))
        return float32_at_least((log_weight + each).logsumexp(1), eta.dtype)

    def first_eta(self, mean: Tensor, variance: float) -> Tensor:
        # components that begin alike would stay alike but for the network's first weights
        each = (torch.arange(self.components, device=mean.device) + 0.5) / self.components
        centres = each.view(-1, *[1] * mean.ndim).expand(-1, *mean.shape)
        widths = torch.full_like(centres, -log(2 * self.components))
        return torch.cat([torch.zeros_like(centres), centres, widths])

    def _mixture(self, eta: Tensor) -> tuple[Tensor, Logistics]:
        """ln wⱼ and the logistics, each [B, components, *S]."""
        logit, location, raw = eta.chunk(3, 1)
        return logit.log_softmax(1), Logistics(location, floored(raw, self.min_scale), self.levels)

    def _moments(self, eta: Tensor) -> tuple[Tensor, Tensor]:
        log_weight, logistics = self._mixture(eta)
        weight, (means, variances) = log_weight.exp(), logistics.moments()
        mean = (weight * means).sum(1)
        return mean, (weight * (variances + (means - mean.unsqueeze(1)).square())).sum(1)
