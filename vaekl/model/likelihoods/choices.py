"""What would work instead: the families and transforms that a refusal names, read from what each family says."""

from collections.abc import Callable
from typing import Any

from vaekl.data.spec import DataSpec, Support

#: vaekl's own families, each added by `Likelihood` when its class is defined
FAMILIES: list[type[Any]] = []
_WORDS: dict[Support, str] = {
    "binary": "binary data {0, 1}",
    "levels": "integer levels",
    "counts": "counts {0, 1, 2, ...}",
    "unit_interval": "grey values in [0, 1]",
    "real": "real values",
    "mixed": "rows of a table whose columns are of several kinds",
}


def data_words(*supports: Support) -> str:
    """What data of these supports are called."""
    return " or ".join(_WORDS[support] for support in supports)


def families_that(fit: Callable[[type[Any]], bool]) -> str:
    """Those of vaekl's own families that fit, as a user chooses one; empty where none does.

    >>> families_that(lambda family: "counts" in family.accepts)
    'likelihood=negative_binomial, poisson or zinb'
    """
    names = [family.name for family in FAMILIES if fit(family)]
    if not names:
        return ""
    *others, last = names
    return f"likelihood={', '.join(others)}{' or ' if others else ''}{last}"


def cures(spec: DataSpec, accepts: tuple[Support, ...]) -> str:
    """What to choose for such data instead of a likelihood that accepts other supports."""
    transforms = []
    # the stored levels are known even where another transform took them away
    if spec.levels is not None and "levels" in accepts:
        transforms.append("levels")
    if spec.support == "levels" and "unit_interval" in accepts:
        transforms.append("dequantize")
    if spec.support in ("levels", "unit_interval") and "binary" in accepts:
        transforms.append("binarize")
    families = families_that(lambda family: spec.support in family.accepts)
    choices = [f"transform={name}" for name in transforms]
    if spec.support == "counts" and "real" in accepts:
        choices.append("dataset.kind=real to treat them as numbers")
    if spec.support == "real" and "counts" in accepts:
        condition = ", since every column holds counts" if spec.are_counts else " if they are whole numbers"
        choices.append(f"dataset.kind=counts{condition}")
    return ", or ".join([*choices, families])
