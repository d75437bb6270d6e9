"""The negative binomial with more zeros."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import logsigmoid, softplus

from vaekl.model.likelihoods.counts import mean_of
from vaekl.model.likelihoods.negative_binomial import NegativeBinomial
from vaekl.model.likelihoods.numerics import float32_at_least
from vaekl.model.mapped import applied


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
        result: Tensor = applied(_Inflated, nats, logit, x.to(nats.dtype))
        return result

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


class _Inflated(torch.autograd.Function):
    """−ln(π [x = 0] + (1 − π) e^−nats) of nats, the logit of π and x, with its gradient from one sigmoid each."""

    @staticmethod
    def forward(ctx: Any, nats: Tensor, logit: Tensor, x: Tensor) -> Tensor:
        zero = (1 - x).clamp_(min=0)
        # how much of a zero's probability is π's
        share = (logit + nats).sigmoid_().mul_(zero)
        ctx.save_for_backward(share, logit)
        of_zero = torch.logaddexp(logit, -nats).neg_()
        return softplus(logit, threshold=40).add_(torch.lerp(nats, of_zero, zero))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        share, logit = ctx.saved_tensors
        return grad * (1 - share), logit.sigmoid().sub_(share).mul_(grad), None
