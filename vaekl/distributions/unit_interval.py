"""Distributions on [0, 1] that come from a Gaussian."""

from typing import Any, ClassVar

import torch
from torch import Tensor, distributions
from torch.distributions import constraints, kl_divergence, register_kl

from vaekl.distributions.base import LikelihoodDistribution
from vaekl.model import likelihoods


class _FromGaussian(LikelihoodDistribution):
    """What a family makes of N(μ, σ²)."""

    arg_constraints: ClassVar = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.unit_interval
    has_rsample = True
    family: ClassVar[type[likelihoods.Likelihood]]
    loc: Tensor
    scale: Tensor

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        super().__init__(self.family(), {"loc": loc, "scale": scale}, validate_args)

    def _eta(self) -> tuple[Tensor, Tensor]:
        return self.loc.unsqueeze(-1), self.scale.square()


class TruncatedGaussian(_FromGaussian):
    """N(μ, σ²) truncated to [0, 1], exact also where nearly all of the Gaussian's mass is cut off.

    Args:
        loc: μ, any real number, and not the mean.
        scale: σ, before the truncation.
        validate_args: as in PyTorch.

    >>> round(TruncatedGaussian(0.0, 1.0).log_prob(torch.tensor(1.0)).item(), 6)
    -0.344076
    """

    family = likelihoods.TruncatedGaussian

    def _mean_of_log_prob(self, p: "TruncatedGaussian") -> Tensor:
        """E[ln p(x)] of this density under another one, float64: ln p is a square in x."""
        own, other = (TruncatedGaussian(law.loc.double(), law.scale.double(), False) for law in (self, p))
        return own.log_prob(other.mean) - other.variance / (2 * own.scale.square())

    def entropy(self) -> Tensor:
        return -self._mean_of_log_prob(self).to(self.scale.dtype)

    def _draw(self, shape: torch.Size) -> Tensor:
        """Draws with the gradient of their quantile, −(dP(X ≤ x)/dθ)/p(x).

        Source: Figurnov, Mohamed, Mnih 2018.
        """
        draws = super()._draw(shape).detach()
        if not torch.is_grad_enabled():
            return draws
        # a draw may be rounded to an end, beyond which there is no mass
        edge = draws.double().clamp(torch.finfo(torch.float32).tiny, 1 - torch.finfo(draws.dtype).eps / 2)
        below = self._call("log_mass", shape, torch.zeros_like(edge), edge, dtype=torch.float64)
        above = self._call("log_mass", shape, edge, torch.ones_like(edge), dtype=torch.float64)
        log_density = self._call("log_prob", shape, edge, dtype=torch.float64).detach()
        # of the smaller tail, whose logarithm has the digits; d exp(ln P)/dθ is P d(ln P)/dθ
        tail = torch.where(below < above, below, above)
        sign = torch.where(below < above, -1.0, 1.0)
        slope = sign * (tail.detach() - log_density).exp()
        return draws + (slope * (tail - tail.detach())).to(draws.dtype)


class CensoredGaussian(_FromGaussian):
    """N(μ, σ²) with the tails beyond [0, 1] at 0 and at 1, which have a probability; inside log_prob is a density's.

    Args:
        loc: μ, any real number.
        scale: σ, of the Gaussian.
        validate_args: as in PyTorch.

    >>> round(CensoredGaussian(0.0, 1.0).log_prob(torch.tensor(0.0)).item(), 6)  # ln ½
    -0.693147
    """

    family = likelihoods.CensoredGaussian


class LogitNormal(_FromGaussian):
    """sigmoid(y) with y ~ N(μ, σ²).

    PyTorch's `LogisticNormal` is another one, on the simplex.

    Args:
        loc: μ, the logit of the median.
        scale: σ.
        validate_args: as in PyTorch.

    >>> round(LogitNormal(0.0, 1.0).log_prob(torch.tensor(0.5)).item(), 6)  # −½ ln(2π) + ln 4
    0.467356
    """

    family = likelihoods.LogitNormal

    @property
    def _of_logits(self) -> distributions.Normal:
        return distributions.Normal(self.loc, self.scale, validate_args=False)

    def icdf(self, value: Tensor) -> Tensor:
        self._check_probability(value)
        return torch.sigmoid(self._of_logits.icdf(value))


def _kl_of_truncated(p: TruncatedGaussian, q: TruncatedGaussian) -> Tensor:
    nats = (p._mean_of_log_prob(p) - q._mean_of_log_prob(p)).clamp(min=0)
    return nats.to(torch.promote_types(p.scale.dtype, q.scale.dtype))


def _kl_of_logit_normals(p: LogitNormal, q: LogitNormal) -> Tensor:
    # a change of variables leaves it as it is
    nats: Tensor = kl_divergence(p._of_logits, q._of_logits)
    return nats


register_kl(TruncatedGaussian, TruncatedGaussian)(_kl_of_truncated)
register_kl(LogitNormal, LogitNormal)(_kl_of_logit_normals)
