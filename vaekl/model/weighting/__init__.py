"""Every KL-weighting strategy is a choice of what to do with φ and ln C."""

from vaekl.model.likelihoods import ContinuousBernoulli, Likelihood
from vaekl.model.weighting.base import Weighting
from vaekl.model.weighting.fitted import LearnedPrecision, OptimalPrecision
from vaekl.model.weighting.fixed import CBNormalizer, FixedBeta, FixedDispersion


def auto_weighting(likelihood: Likelihood, shape: tuple[int, int, int]) -> Weighting:
    """What the theory asks for: a scale is learned, a constant that depends on η is kept, else nothing to weigh."""
    if likelihood.scale_power is not None:
        return LearnedPrecision(likelihood, shape)
    if isinstance(likelihood, ContinuousBernoulli):
        return CBNormalizer(likelihood, shape)
    return FixedDispersion(likelihood, shape)


__all__ = [
    "CBNormalizer",
    "FixedBeta",
    "FixedDispersion",
    "LearnedPrecision",
    "OptimalPrecision",
    "Weighting",
    "auto_weighting",
]
