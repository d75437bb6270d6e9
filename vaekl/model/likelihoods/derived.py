"""Families that write one method in the place of two."""

from abc import abstractmethod

import torch
from torch import Tensor

from vaekl.model.likelihoods.base import Likelihood


class MomentsTogether(Likelihood):
    """A family whose mean and variance are the same sums or integrals: it writes `moments`."""

    @abstractmethod
    def moments(self, eta: Tensor, dispersion: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance under the density, each [B, *S]."""

    def mean(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        return self.moments(eta, dispersion)[0]

    def variance(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        return self.moments(eta, dispersion)[1]


class WholeLogProb(Likelihood):
    """A family of which ln p has no part that is its constant: E = −φ ln p, ln C = 0; it writes `log_prob`."""

    @abstractmethod
    def log_prob(self, eta: Tensor, x: Tensor, dispersion: Tensor) -> Tensor:
        """ln p(x | η), nats, [B, *S]."""

    def energy(self, eta: Tensor, x: Tensor, dispersion: Tensor) -> Tensor:
        return -dispersion * self.log_prob(eta, x, dispersion)

    def log_norm_const(self, eta: Tensor, dispersion: Tensor) -> Tensor:
        return torch.zeros_like(eta[:, 0])
