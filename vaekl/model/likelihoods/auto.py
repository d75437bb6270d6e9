"""The family that data have where the user leaves the choice to them."""

from inspect import signature
from typing import Any

from vaekl.data.spec import DataSpec
from vaekl.model.likelihoods.base import Likelihood
from vaekl.model.likelihoods.choices import FAMILIES
from vaekl.system.errors import VaeklError


class AutoLikelihood:
    """The choice left to the data: `resolve` makes it, by what their values are."""

    def resolve(self, spec: DataSpec, transformed: bool = False) -> Likelihood:
        """The family for such data.

        Args:
            spec: what the values are.
            transformed: whether the user has chosen what is done to them, so that they stay what they are.
        """
        name, why = choice(spec, transformed)
        likelihood = named(name)
        likelihood.chosen_because = why
        return likelihood


def choice(spec: DataSpec, transformed: bool = False) -> tuple[str, str]:
    """The family's name, and why.

    >>> choice(DataSpec("digits", (1, 8, 8), levels=17, support="levels"))
    ('cb', 'the values are grey levels')
    """
    kinds = {kind for kind, _ in spec.kinds}
    # the columns stay of several kinds only where the user has left the transform to the data
    is_mixed = spec.support == "real" and not transformed and (spec.has_missing or kinds - {"numeric"})
    if is_mixed:
        why = "values are missing" if spec.has_missing else "the columns are of several kinds"
        return "columns", why
    return {
        "binary": ("bernoulli", "every value is 0 or 1"),
        "levels": ("categorical", "the values are levels") if transformed else ("cb", "the values are grey levels"),
        "counts": ("negative_binomial", "the values are counts"),
        "unit_interval": ("cb", "the values are shades of [0, 1]"),
        "real": ("gaussian", "the values are real numbers"),
        "mixed": ("columns", "the columns are of several kinds"),
    }[spec.support]


def single_value_families() -> tuple[str, ...]:
    """The names of vaekl's families that judge one value by itself and are made of no others."""
    return tuple(family.name for family in FAMILIES if family.name not in ("columns", "mixture", "logistic_mixture"))


def named(name: str, **options: Any) -> Likelihood:
    """vaekl's family of this name.

    Raises:
        VaeklError: it has no such option.
    """
    family = next(family for family in FAMILIES if family.name == name)
    if strangers := set(options) - set(signature(family).parameters):
        raise VaeklError(f"likelihood={name} has no option {min(strangers)}: leave it out of likelihood.options.")
    likelihood: Likelihood = family(**options)
    return likelihood
