"""Weightings: what is done with φ and ln C, and so with the weight of the KL."""

from numbers import Integral

from vaekl.data.spec import Shape
from vaekl.model.likelihoods import Likelihood
from vaekl.model.weighting.base import Weighting
from vaekl.model.weighting.fitted import LearnedPrecision, OptimalPrecision
from vaekl.model.weighting.fixed import CBNormalizer, FixedBeta, FixedDispersion
from vaekl.model.weighting.multirate import Multirate
from vaekl.system.checks import one_of
from vaekl.system.errors import InputError


def auto_weighting(likelihood: Likelihood, shape: Shape) -> Weighting:
    """The weighting that the likelihood names; else ln φ is learned where φ is a scale, and φ = 1 where it is none.

    Args:
        likelihood: of p(x|z).
        shape: S.

    Raises:
        InputError: one of the arguments is of another type.
        VaeklError: the likelihood names a weighting that is none of vaekl's.
    """
    if not isinstance(likelihood, Likelihood):
        raise InputError(
            f"likelihood must be an object such as vaekl.Gaussian(), not of type {type(likelihood).__name__}."
        )
    if not isinstance(shape, tuple | list) or not all(isinstance(side, Integral) for side in shape):
        raise InputError(f"shape must be that of one example, such as (1, 28, 28) or (64,), not {shape!r}.")
    if likelihood.weighting is None:
        kind: type[Weighting] = FixedDispersion if likelihood.scale_power is None else LearnedPrecision
        return kind(likelihood, shape)
    kinds = {kind.name: kind for kind in (CBNormalizer, FixedBeta, FixedDispersion, LearnedPrecision, OptimalPrecision)}
    name = one_of(likelihood.weighting, f"the attribute weighting of likelihood={likelihood.name}", tuple(kinds))
    return kinds[name](likelihood, shape)


__all__ = [
    "CBNormalizer",
    "FixedBeta",
    "FixedDispersion",
    "LearnedPrecision",
    "Multirate",
    "OptimalPrecision",
    "Weighting",
    "auto_weighting",
]
