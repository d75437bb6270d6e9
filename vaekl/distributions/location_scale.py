"""Distributions with a location and a scale that PyTorch lacks."""

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import constraints

from vaekl.distributions.base import LikelihoodDistribution
from vaekl.model import likelihoods


class Logistic(LikelihoodDistribution):
    """Logistic: ln p(x) = −u − ln s − 2 ln(1 + e^−u) with u = (x − μ)/s; its variance is π²s²/3.

    Args:
        loc: μ.
        scale: s.
        validate_args: as in PyTorch.

    >>> round(Logistic(0.0, 0.5).log_prob(torch.tensor(0.0)).item(), 6)
    -0.693147
    """

    arg_constraints: ClassVar = {"loc": constraints.real, "scale": constraints.positive}
    has_rsample = True
    loc: Tensor
    scale: Tensor

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        super().__init__(likelihoods.Logistic(), {"loc": loc, "scale": scale}, validate_args)

    def _eta(self) -> tuple[Tensor, Tensor]:
        return self.loc.unsqueeze(-1), self.scale

    def icdf(self, value: Tensor) -> Tensor:
        self._check_probability(value)
        return self.loc + self.scale * torch.logit(value)

    def entropy(self) -> Tensor:
        return self.scale.log() + 2
