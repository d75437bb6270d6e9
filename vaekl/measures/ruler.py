"""The fair ruler: the probability of the data's integers, on which all likelihoods are comparable.

    −log2 P(k)/D,   P(k_d | z) = ∫ p(x | z) dx over the bin of level k_d, tails folded into the end bins   (bits/dim)

The nats of a density are not comparable: they change with the unit of x. The usual bits/dim of dequantized data bound
the same −log2 P(k): they average ln p over a bin where the ruler takes the logarithm of the average, but their
posterior has seen the noise in x, so that either may be the lower.
"""

from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from vaekl.data import DataSpec
from vaekl.measures.importance import LogLikelihood
from vaekl.model.likelihoods import Likelihood
from vaekl.model.vae import VAE


@dataclass(frozen=True)
class Ruler:
    """Bins of a data set's levels on the scale that the likelihood models.

    Args:
        spec: of the values that are modelled; `ruler_of` says whether there is a ruler for them.
    """

    spec: DataSpec

    def level(self, x: Tensor) -> Tensor:
        """The level k of each value of x, float64, of any shape."""
        if self.spec.dequantized:
            return (x.double() * self._levels).floor().clamp(0, self._levels - 1)
        if self.spec.support == "levels":
            return x.double()
        return (x.double() * (self._levels - 1)).round()

    def edges(self, level: Tensor) -> tuple[Tensor, Tensor]:
        """Where the bins of levels begin and end, float64, each of the shape of `level`; the end bins are infinite."""
        if self.spec.dequantized:
            lower, upper = level / self._levels, (level + 1) / self._levels
        elif self.spec.support == "levels":
            lower, upper = level - 0.5, level + 0.5
        else:
            lower, upper = (level - 0.5) / (self._levels - 1), (level + 0.5) / (self._levels - 1)
        return lower.masked_fill(level <= 0, -torch.inf), upper.masked_fill(level >= self._levels - 1, torch.inf)

    @property
    def protocol(self) -> str:
        """What the bins are, in words."""
        if self.spec.dequantized:
            return f"mass of the bins [k, k + 1]/{self._levels}, tails in the end bins"
        return f"mass of the bins [k − ½, k + ½]/{self._levels - 1}, tails in the end bins"

    @property
    def _levels(self) -> int:
        assert self.spec.levels is not None
        return self.spec.levels


def why_no_ruler(spec: DataSpec, likelihood: Likelihood) -> str | None:
    """Why a likelihood on such data has no bits/dim on the fair ruler; None where it has."""
    if likelihood.discrete:
        return None
    if not spec.levels:
        return f"the values of {spec.name} ({spec.protocol}) are no integers any more"
    if not likelihood.has_log_mass:
        return f"likelihood={likelihood.name} has no log_mass"
    return None


def protocol(spec: DataSpec, likelihood: Likelihood) -> str:
    """What the ruler measures, in words."""
    return "probability of the values themselves" if likelihood.discrete else Ruler(spec).protocol


def bits_per_dim(log_mass: Tensor, spec: DataSpec) -> Tensor:
    """−log2 P/D of ln P(k), or of a bound on it, in nats, [N]."""
    return -log_mass / (spec.dims * log(2))


def log_density(model: VAE) -> LogLikelihood:
    """A function of η and x that gives ln p(x|z) under the model's density."""
    return model.log_prob


def log_mass(model: VAE) -> LogLikelihood:
    """A function of η and x that gives ln P(k|z) of the integers k that x stands for."""
    if model.likelihood.discrete:
        return log_density(model)
    ruler = Ruler(model.spec)

    def of(eta: Tensor, x: Tensor) -> Tensor:
        lower, upper = ruler.edges(ruler.level(x))
        return model.likelihood.log_mass(eta, lower, upper, model.weighting.dispersion).flatten(1).sum(1)

    return of
