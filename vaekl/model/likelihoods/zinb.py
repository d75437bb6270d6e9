"""The negative binomial with more zeros."""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from vaekl.model.likelihoods.base import float32_at_least
from vaekl.model.likelihoods.counts import mean_of
from vaekl.model.likelihoods.negative_binomial import NegativeBinomial


class ZeroInflatedNegativeBinomial(NegativeBinomial):
    """With probability π a count is 0, else negative binomial: p(x) = π·[x = 0] + (1 − π) NB(x; μ, φ); ln C = 0.

    The decoder's last output is the logit of π. The mean is (1 − π)μ.

    Source: Lopez, Regier, Cole, Jordan, Yosef 2018 ("scVI"), who call π the dropout.

    >>> eta, x = torch.zeros(1, 2, 1, 1, 1), torch.zeros(1, 1, 1, 1)
    >>> round(ZeroInflatedNegativeBinomial().log_prob(eta, x, torch.ones(1, 1, 1)).item(), 6)  # ln(1/2 + 1/4)
    -0.287682
    """

    name = "zinb"
    energy_text = "−ln(π [x = 0] + (1 − π) NB(x; μ, φ))"
    dispersion_text = "the overdispersion φ of the negative binomial"

    def __init__(self, dispersion: str = "shared") -> None:
        """Fix whose the overdispersion is, as of the negative binomial."""
        super().__init__(dispersion)  # type: ignore[arg-type]
        self.outputs += 1

    def logit(self, eta: Tensor) -> Tensor:
        """The logit of π, [B, *S], float32 at least."""
        return float32_at_least(eta[:, -1], eta.dtype)

    def negative_log_mass(self, eta: Tensor, x: Tensor, phi: Tensor) -> Tensor:
        nats, logit = super().negative_log_mass(eta, x, phi), self.logit(eta)
        return torch.where(x > 0, nats, -torch.logaddexp(logit, -nats)) - logsigmoid(-logit)

    def mean(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        return torch.sigmoid(-self.logit(eta)) * mean_of(self.log_mean(eta))

    def variance(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        mean, logit = mean_of(self.log_mean(eta)), self.logit(eta)
        inner = 1 + (self.overdispersion(eta, dispersion) + torch.sigmoid(logit)) * mean
        return torch.sigmoid(-logit) * mean * inner

    def sample(self, eta: Tensor, dispersion: Tensor, generator: torch.Generator | None = None) -> Tensor:
        counts = super().sample(eta, dispersion, generator)
        return counts * torch.bernoulli(torch.sigmoid(-self.logit(eta)), generator=generator)

    def first_eta(self, mean: Tensor, variance: float) -> Tensor | None:
        eta = super().first_eta(mean, variance)
        assert eta is not None
        eta[-1] = -2.0
        return eta

    def log_mass(self, eta: Tensor, lower: Tensor, upper: Tensor, dispersion: Tensor) -> Tensor:
        counted = super().log_mass(eta.double(), lower, upper, dispersion)
        logit = self.logit(eta.double())
        with_zero = (lower < 0) & (upper >= 0)
        extra = torch.where(with_zero, torch.logaddexp(logit, counted), counted) + logsigmoid(-logit)
        # not rounded above 0, where a bin holds everything
        return float32_at_least(extra.clamp(max=0), eta.dtype)
