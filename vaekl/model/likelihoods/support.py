"""Which data a family takes, and the sentences for those that it does not."""

from collections.abc import Callable
from math import inf
from typing import Any, ClassVar

from torch import Tensor

from vaekl.data.spec import DataSpec, Support
from vaekl.model.likelihoods.choices import cures, data_words, families_that
from vaekl.system.errors import VaeklError


class Supported:
    """The values that x may have: a part of `Likelihood`."""

    #: what the family is called; a class that sets no name of its own is called as the class
    name: ClassVar[str]
    #: the supports of data that it fits
    accepts: tuple[Support, ...]
    #: whether x is a whole number
    discrete: bool = False
    #: the smallest and the largest value of x
    bounds: tuple[float, float] = (0.0, 1.0)
    #: values of x that have a probability of their own, beside the density of all others
    atoms: tuple[float, ...] = ()
    #: whether they are no values of x themselves, since E is infinite there
    open_support: ClassVar[bool] = False
    #: whether η's first output is the logarithm of a rate, to which the offset of a row is added
    takes_offset: ClassVar[bool] = False
    #: whether a NaN of x is a missing value that is left out of E and ln C
    leaves_out_missing: bool = False
    #: the support of the data that it models, once `check_spec` has seen them
    data_support: Support | None = None

    @property
    def support_text(self) -> str:
        """The values that x may have, in words."""
        lower, upper = self.bounds
        if self.discrete:
            if "counts" in self.accepts:
                return "{0, 1, 2, ...}"
            return "levels" if "levels" in self.accepts else "{0, 1}"
        if (lower, upper) == (-inf, inf):
            return "the real line"
        return f"{'(' if lower == -inf else '['}{lower:g}, {upper:g}{')' if upper == inf else ']'}"

    def others_that(self, fit: Callable[[type[Any]], bool]) -> str:
        """Those of vaekl's own families that fit and take the same data, as a user chooses one; empty if none does."""
        supports = set(self.accepts) if self.data_support is None else {self.data_support}
        return families_that(lambda family: fit(family) and bool(supports & set(family.accepts)))

    def check_spec(self, spec: DataSpec) -> None:
        """Refuse data whose support this family does not have.

        Args:
            spec: the data as the family would see them.

        Raises:
            VaeklError: one sentence that names the data, what the family accepts and what would work.
        """
        if spec.support not in self.accepts:
            raise VaeklError(
                f"likelihood={self.name} takes {data_words(*self.accepts)}, but dataset={spec.name} ({spec.protocol}) "
                f"holds {data_words(spec.support)}: use {cures(spec, self.accepts)}."
            )
        if spec.mean_total is not None and not self.takes_offset:
            raise VaeklError(
                f"likelihood={self.name} has no rate that dataset.offset=total could multiply: use "
                f"{families_that(lambda family: family.takes_offset)}, or leave dataset.offset out."
            )
        self.data_support = spec.support
        if spec.has_missing and not self.leaves_out_missing:
            raise VaeklError(
                f"likelihood={self.name} has no law for missing values, which dataset.missing=mask keeps: "
                "use likelihood=columns, which leaves them out, or dataset.missing=drop."
            )

    def needs_every_value(self, spec: DataSpec) -> bool:
        """Whether the support is checked on all images, not on the first of each split: one value may be fatal."""
        return False

    def check_support(self, x: Tensor) -> None:
        """Refuse values outside the support.

        Args:
            x: of any shape.

        Raises:
            VaeklError: one sentence with the range of the values.
        """
        low, high = x.min().item(), x.max().item()
        lower, upper = self.bounds
        if not (lower <= low and high <= upper):
            raise VaeklError(
                f"likelihood={self.name} has support [{lower:g}, {upper:g}], but the data reach from {low:g} to "
                f"{high:g}: rescale them, or use {families_that(lambda family: 'real' in family.accepts)}, whose "
                "support is the real line."
            )
        if self.discrete and (fractions := x[x != x.round()]).numel():
            whole, support = "make them whole with transform=binarize or levels, or use ", "unit_interval"
            if "counts" in self.accepts:
                whole, support = "use ", "real"
            raise VaeklError(
                f"likelihood={self.name} takes whole numbers, but the data hold {fractions[0].item():.4g}: "
                f"{whole}{families_that(lambda family: support in family.accepts)}."
            )

    def check_open(self, x: Tensor, also: str = "") -> None:
        """Refuse 0 and 1 where E is infinite.

        Args:
            x: of any shape.
            also: what else would work, for the end of the sentence.

        Raises:
            VaeklError: one sentence that says what would work.
        """
        if x.min().item() <= 0 or x.max().item() >= 1:
            others = families_that(lambda family: "unit_interval" in family.accepts and not family.open_support)
            raise VaeklError(
                f"likelihood={self.name} has the open support (0, 1), but the data hold 0 or 1 exactly, where its "
                f"energy is infinite: use transform=dequantize if they are whole numbers, or {others}{also}."
            )
