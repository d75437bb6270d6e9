"""Distributions on integer levels."""

from typing import Any, ClassVar

from torch import Tensor
from torch.distributions import constraints, register_kl

from vaekl.distributions.base import LikelihoodDistribution
from vaekl.model import likelihoods


class DiscretizedLogistic(LikelihoodDistribution):
    """P(k) = σ((k + ½ − μ)/s) − σ((k − ½ − μ)/s) on {0..K−1}, the tails in the end levels.

    μ and s are in units of the range of the levels, K − 1: μ = 1 is the last level. A mixture of them is PyTorch's
    `MixtureSameFamily(Categorical(logits), DiscretizedLogistic(loc, scale, levels))`.

    Args:
        loc: μ/(K − 1).
        scale: s/(K − 1).
        levels: K.
        validate_args: as in PyTorch.

    Source: Salimans et al. 2017 ("PixelCNN++"), section 2.1.

    >>> import torch
    >>> round(DiscretizedLogistic(0.0, 0.5, levels=3).log_prob(torch.tensor(0.0)).item(), 6)  # ln σ(½/(2 · 0.5))
    -0.474077
    """

    arg_constraints: ClassVar = {"loc": constraints.real, "scale": constraints.positive}
    loc: Tensor
    scale: Tensor

    def __init__(self, loc: Any, scale: Any, levels: int = 256, validate_args: bool | None = None) -> None:
        family = likelihoods.DiscretizedLogistic(levels=levels)
        super().__init__(family, {"loc": loc, "scale": scale}, validate_args)

    def _eta(self) -> tuple[Tensor, Tensor]:
        return self.loc.unsqueeze(-1), self.scale


def _kl(p: DiscretizedLogistic, q: DiscretizedLogistic) -> Tensor:
    if p.likelihood.bounds != q.likelihood.bounds:
        raise NotImplementedError("A KL divergence takes two distributions on the same levels.")
    levels = p.enumerate_support()
    log_p = p.log_prob(levels)
    return (log_p.exp() * (log_p - q.log_prob(levels))).sum(0).clamp(min=0)


register_kl(DiscretizedLogistic, DiscretizedLogistic)(_kl)
